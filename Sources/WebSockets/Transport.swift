// What moves the bytes of a connection, so that what moves them can be exchanged.

import NIOCore

/// What moves the bytes of one connection; every call is made on the connection's own thread.
protocol Transport: AnyObject {
    /// Whether it takes bytes to send now; it calls `WebSocket.transportBecameWritable` when this turns true.
    var isWritable: Bool { get }
    /// The bytes taken and not yet given to the system.
    var bufferedBytes: Int { get }
    /// Takes bytes to send, in order; collected frames go back to the thread once they are sent.
    func write(_ piece: Outbox.Piece)
    /// Takes bytes that many connections send, and gives them to the system.
    func writeAndFlush(_ bytes: ByteBuffer)
    /// Takes collected frames, and gives them to the system.
    func writeAndFlush(_ frames: consuming FrameBuffer)
    /// Takes collected frames and what follows them, and gives both to the system.
    func writeAndFlush(_ frames: FrameBuffer, _ bytes: ByteBuffer)
    /// Gives to the system what was taken.
    func flush()
    /// Has the system hold few bytes that it has not sent yet, now and from then on: what lies there can not be dropped or replaced any more.
    func limitUnsent()
    /// Stops reading, so that the peer's sends back up; what the system holds is still read when the peer has gone.
    func pauseReading()
    /// Reads again.
    func resumeReading()
    /// Ends the sending side once all is sent, and reads on until the peer ends its side.
    func finishSending()
    /// Closes once all is sent.
    func closeAfterFlush()
    /// Cuts the connection now.
    func terminate()
}

/// How many bytes the system holds that it has not sent, for `limitUnsent`: as many as a transport itself takes. Left to itself, Linux holds
/// up to 4 MB for one connection, which a slow peer reads for a minute before it sees anything new, or a ping.
let maxUnsentBytes = 65_536

extension Transport {
    func writeAndFlush(_ bytes: ByteBuffer) {
        write(.shared(bytes))
        flush()
    }

    func writeAndFlush(_ frames: consuming FrameBuffer) {
        write(.frames(frames))
        flush()
    }

    func writeAndFlush(_ frames: FrameBuffer, _ bytes: ByteBuffer) {
        write(.frames(frames))
        write(.shared(bytes))
        flush()
    }
}
