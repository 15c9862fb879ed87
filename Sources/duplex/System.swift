// The calls to the system, in one place.

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// An error that the system reported.
struct SystemError: Error, Equatable, CustomStringConvertible {
    let call: String
    let code: Int32

    var description: String { "\(call): \(String(cString: strerror(code)))" }
    /// Nobody reads the pipe any more, as when `head` has seen enough.
    var isBrokenPipe: Bool { code == EPIPE }
}

/// The standard streams of this process.
enum Descriptor: Int32, Sendable {
    case input = 0
    case output = 1
    case error = 2

    var isTerminal: Bool { isatty(rawValue) == 1 }

    /// The width and height of the terminal in characters; nil if it is not a terminal or does not say.
    var windowSize: (columns: Int, rows: Int)? {
        var size = winsize()
        guard ioctl(rawValue, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return nil }
        return (Int(size.ws_col), Int(size.ws_row))
    }

    /// Reads what there is, and waits for it if there is nothing; empty at the end.
    func readSome(atMost count: Int) throws(SystemError) -> [UInt8] {
        while true {
            var code: Int32 = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                let result = read(rawValue, buffer.baseAddress, count)
                code = result < 0 ? errno : 0
                filled = max(result, 0)
            }
            guard code != 0 else { return bytes }
            try recover(code, POLLIN, "reading the input")
        }
    }

    /// Writes all of it, and waits while the reader does not keep up.
    func writeAll(_ bytes: [UInt8]) throws(SystemError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { write(rawValue, $0.baseAddress, $0.count) }
            if written >= 0 { rest = rest.dropFirst(written) } else { try recover(errno, POLLOUT, "writing the output") }
        }
    }

    /// Whether `readSome` would not wait.
    var isReadable: Bool { isReady(POLLIN, timeout: 0) }

    /// Another process may have set a shared pipe or terminal to non-blocking; we wait all the same.
    private func recover(_ code: Int32, _ event: Int32, _ call: String) throws(SystemError) {
        switch code {
        case EINTR: break
        case EAGAIN, EWOULDBLOCK: _ = isReady(event, timeout: -1)
        default: throw SystemError(call: call, code: code)
        }
    }

    private func isReady(_ event: Int32, timeout: Int32) -> Bool {
        var descriptor = pollfd(fd: rawValue, events: Int16(event), revents: 0)
        return poll(&descriptor, 1, timeout) > 0
    }
}

/// How long this process has worked, in seconds.
enum CPU {
    /// On the calling thread.
    static var ofThread: Double { seconds(CLOCK_THREAD_CPUTIME_ID) }
    /// On all threads.
    static var ofProcess: Double { seconds(CLOCK_PROCESS_CPUTIME_ID) }

    /// How long the calling thread could have worked and had to wait for a processor, as others had it (proc_pid_schedstat(5)); nil
    /// where the system does not say.
    static var waitOfThread: Double? {
        guard let fields = contents(of: "/proc/thread-self/schedstat")?.split(separator: " "), fields.count > 1 else { return nil }
        return Double(fields[1]).map { $0 / 1e9 }
    }

    private static func seconds(_ clock: clockid_t) -> Double {
        var time = timespec()
        guard clock_gettime(clock, &time) == 0 else { return 0 }
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

/// Lets this process open as many files as it may, and says how many that are; nil if the system does not say.
func raiseOpenFilesLimit() -> Int? {
    #if canImport(Glibc)
    let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #else
    let resource = RLIMIT_NOFILE
    #endif
    var limit = rlimit()
    guard getrlimit(resource, &limit) == 0 else { return nil }
    var raised = limit
    raised.rlim_cur = raised.rlim_max
    // macOS does not take "no limit" for an answer, and keeps what was.
    if setrlimit(resource, &raised) == 0 { limit = raised }
    return Int(clamping: limit.rlim_cur)
}

/// How many clock ticks a second the system counts processes' time in.
var clockTicksPerSecond: Double { Double(max(1, sysconf(Int32(_SC_CLK_TCK)))) }

/// The bytes of a page of memory.
var pageSize: Int { max(1, sysconf(Int32(_SC_PAGESIZE))) }

/// Ends the process at once.
func leave(_ status: Int32) -> Never { exit(status) }

/// The value of an environment variable.
func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
