// A reference that comes once and stays.

import Synchronization

/// A reference that is set once at most, and read from any thread without a lock.
///
/// As `AtomicLazyReference` is, whose `load` looks up the metadata of its own type in each call: 3 % of an echo over Socket.IO.
struct SetOnce<Value: AnyObject & Sendable>: ~Copyable, Sendable {
    /// Retained until the end.
    private let reference = Atomic<Unmanaged<Value>?>(nil)

    deinit { reference.load(ordering: .acquiring)?.release() }

    /// The reference; nil while there is none.
    @inline(__always)
    func load() -> Value? { reference.load(ordering: .acquiring)?.takeUnretainedValue() }

    /// Sets the reference, unless there is one.
    func storeIfNil(_ value: Value) {
        let retained = Unmanaged.passRetained(value)
        if !reference.compareExchange(expected: nil, desired: retained, ordering: .acquiringAndReleasing).exchanged { retained.release() }
    }
}
