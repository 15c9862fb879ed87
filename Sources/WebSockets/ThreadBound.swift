// A value that belongs to a thread, in the hands of code that runs elsewhere.

/// A value that only its thread touches, and that anybody may hold.
///
/// As `NIOLoopBound`, for a thread that goes on after its event loop.
///
/// `@unchecked Sendable`: the value is given out on its thread only.
struct ThreadBound<Value>: @unchecked Sendable {
    private let thread: EventThread
    private let bound: Value

    init(_ value: Value, to thread: EventThread) {
        self.thread = thread
        bound = value
    }

    var value: Value {
        precondition(thread.isCurrent, "a value that belongs to another thread was asked for")
        return bound
    }
}
