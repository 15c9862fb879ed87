// What the thread sanitizer has to say of two threads and a Mutex, so that Scripts/tsan knows that it hears the truth: nothing where both hold
// it (`both`), a race where only one does (`one`).

import Glibc
import Synchronization

final class Shared: Sendable {
    let mutex = Mutex(0)
    /// Proof: there is none. That is what the sanitizer is to find.
    nonisolated(unsafe) var plain = 0
}

@main struct Main {
    static let shared = Shared()
    static let rounds = 200_000

    static func main() {
        let isOneSided = CommandLine.arguments.last == "one"
        let first = run(addUnderLock)
        let second = isOneSided ? run(addWithoutLock) : run(addUnderLock)
        pthread_join(first, nil)
        pthread_join(second, nil)
    }

    static func run(_ body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?) -> pthread_t {
        var thread = pthread_t()
        pthread_create(&thread, nil, body, nil)
        return thread
    }
}

func addWithoutLock(_: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    for _ in 0..<Main.rounds { Main.shared.plain += 1 }
    return nil
}

func addUnderLock(_: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    for round in 0..<Main.rounds {
        if round % 2 == 0 {
            Main.shared.mutex.withLock { _ in Main.shared.plain += 1 }
        } else {
            _ = Main.shared.mutex.withLockIfAvailable { _ in Main.shared.plain += 1 }
        }
    }
    return nil
}
