// How the stream is read, one XREAD after the other; see RedisStream.swift.

import EngineIO
import Logging
import NIOConcurrencyHelpers
import RedisPubSub
import SocketIO

extension RedisStream {
    func read() {
        let (position, mayHaveLost, count) = state.withLockedValue { ($0.position ?? .zero, $0.mayHaveLost, $0.readCount) }
        if mayHaveLost { return checkForLoss(position) }
        let wait = max(1, link.maxWait.milliseconds)
        let command = ["XREAD", "COUNT", "\(count)", "BLOCK", "\(wait)", "STREAMS", settings.streamName, position.description]
        link.read(command) { [weak self] answer in self?.took(answer) }
    }

    private func took(_ answer: Result<RESPValue, RedisError>) {
        do throws(RedisError) {
            let entries = try StreamEntry.entries(read: try answer.get())
            link.count(published: 0, received: entries.count, dropped: 0)
            for entry in entries { take(entry) }
            continueWriting()
            readOn(entries.count)
        } catch {
            readLater(error)
        }
    }

    private func readOn(_ count: Int) {
        let (isBehind, position) = state.withLockedValue { state in
            let isBehind = count >= state.readCount
            if isBehind { state.readCount = min(max(1, settings.readCount), state.readCount * 2) }
            return (isBehind, state.position ?? .zero)
        }
        // What is written faster than it is read may be cut off before.
        if isBehind { checkBeginning(position) } else { read() }
    }

    private func readLater(_ error: RedisError) {
        if error.reason == .closed { return end() }
        state.withLockedValue { state in
            // Perhaps they are too many bytes together (limit maxMessageBytes).
            state.readCount = max(1, state.readCount / 2)
            state.mayHaveLost = true
        }
        if error.reason == .refused || error.reason == .unexpected, let others = faults.admit() {
            settings.logger.error(
                "other nodes are not heard: \(error)", metadata: ["stream": "\(settings.streamName)", "othersSinceLastLine": "\(others)"])
        }
        _ = link.call(after: Self.retryDelay) { [weak self] in self?.read() }
    }

    /// Says so if entries are gone that this node has not read: the stream was shortened meanwhile, or Redis has lost it. Nothing else is asked for
    /// on this connection meanwhile, so what is found is not older than what was read.
    private func checkForLoss(_ position: StreamID) {
        ask("+", "-", command: "XREVRANGE") { stream, last in
            if last < position {
                stream.say("Redis has lost a part of it", read: position, found: last)
                stream.state.withLockedValue { state in
                    state.position = last
                    Self.beginAnew(at: last, &state)
                }
            }
            stream.checkBeginning(position)
        }
    }

    private func checkBeginning(_ position: StreamID) {
        ask("-", "+", command: "XRANGE") { stream, first in
            if position > .zero, first > position {
                stream.say("its beginning is gone (limit maxLength)", read: position, found: first)
                stream.state.withLockedValue { Self.beginAnew(at: first, &$0) }
            }
            stream.state.withLockedValue { $0.mayHaveLost = false }
            stream.read()
        }
    }

    /// Asks for the first or the last entry, and goes on with it: with zero, if there is none.
    private func ask(_ from: String, _ to: String, command: String, _ next: @escaping @Sendable (RedisStream, StreamID) -> Void) {
        link.read([command, settings.streamName, from, to, "COUNT", "1"]) { [weak self] answer in
            guard let self else { return }
            do throws(RedisError) {
                next(self, try StreamEntry.entries(try answer.get()).first?.id ?? .zero)
            } catch {
                readLater(error)
            }
        }
    }

    private func say(_ what: String, read: StreamID, found: StreamID) {
        settings.logger.error(
            "what other nodes said may be lost: the stream does not join on to what this node has read, as \(what)",
            metadata: ["stream": "\(settings.streamName)", "read": "\(read)", "found": "\(found)"])
    }

    private func take(_ entry: StreamEntry) {
        if let node = entry.node, let namespace = entry.namespace {
            if state.withLockedValue({ $0.nodes.contains(node) }) {
                takeOwn(entry)
            } else {
                for receiver in receivers(of: namespace) { hand(entry, to: receiver) }
            }
        }
        let reached = state.withLockedValue { state in
            state.position = entry.id
            guard !state.waiters.isEmpty else { return [] as [Waiter] }
            let reached = state.waiters.filter { $0.id <= entry.id }
            state.waiters.removeAll { $0.id <= entry.id }
            return reached
        }
        for waiter in reached { waiter.continuation.resume(returning: true) }
    }

    private func takeOwn(_ entry: StreamEntry) {
        let settled = state.withLockedValue { state -> [(Outgoing, StreamID)] in
            var settled: [(Outgoing, StreamID)] = []
            // Those before it were gone from the stream before this node came to them, or Redis has refused them and not said so yet.
            while let id = state.outgoing.first?.id, id < entry.id { settled.append((Self.remove(at: 0, &state), id)) }
            let index = state.outgoing.prefix(state.sent).firstIndex { $0.id.map { $0 == entry.id } ?? ($0.fields == entry.fields) }
            if let index { settled.append((Self.remove(at: index, &state), entry.id)) }
            sendMore(&state)
            return settled
        }
        for (item, id) in settled { placed(item, id) }
    }

    private func hand(_ entry: StreamEntry, to receiver: any StreamReceiver) {
        do throws(SocketIOParseError) {
            receiver.received(try entry.message(), entry.id)
        } catch {
            guard let others = faults.admit() else { return }
            settings.logger.warning(
                "a message of the cluster is dropped: \(error)",
                metadata: ["stream": "\(settings.streamName)", "entry": "\(entry.id)", "othersSinceLastLine": "\(others)"])
        }
    }
}
