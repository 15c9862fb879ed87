// What other nodes and emitters say, and what this node answers. Called by the Redis client, one call at a time, on a thread that must not be
// blocked.

import NIOCore
package import RedisPubSub
import SocketIO

extension SocketIORedisAdapter: RedisReceiver {
    package func received(_ event: RedisEvent, of target: RedisTarget) {
        switch event {
        case .subscribed, .unsubscribed:
            if target == .channel(channels.request) { support.hears(event == .subscribed) }
        case .message(let channel, let bytes): received(bytes, on: channel, target)
        }
    }

    private func received(_ bytes: ByteBuffer, on channel: String, _ target: RedisTarget) {
        // Held: the adapter of this node's sockets does not.
        guard let namespace else { return }
        do throws(SocketIOParseError) {
            if case .pattern = target {
                try receivedBroadcast(bytes, on: channel, namespace)
            } else if channel == channels.request {
                try receivedRequest(try ClassicRequest(bytes), namespace)
            } else {
                receivedResponse(try ClassicResponse(bytes))
            }
        } catch {
            support.drop(bytes, on: channel, error)
        }
    }

    // MARK: Broadcasts

    private func receivedBroadcast(_ bytes: ByteBuffer, on channel: String, _ namespace: SocketIONamespace) throws(SocketIOParseError) {
        switch channels.room(of: channel) {
        case nil: return
        // Nobody here is in it: what it says need not be read.
        case .one(let room)?: guard local.hasRoom(room) else { return }
        case .any?: break
        }
        let message = try ClassicBroadcast(bytes)
        guard message.node != node, message.namespace == name else { return }
        withExtendedLifetime(namespace) {
            local.broadcast(SocketIOPacket(namespace: name, content: .event(message.event, id: nil)), message.options)
        }
    }

    // MARK: Requests

    private func receivedRequest(_ request: ClassicRequest, _ namespace: SocketIONamespace) throws(SocketIOParseError) {
        guard request.node != node else { return }
        switch request.content {
        case .sockets(let rooms, let id): answer(request, id, .socketIDs(local.ids(SocketIOBroadcastOptions(rooms: rooms))))
        case .allRooms(let id): answer(request, id, .rooms(Array(local.allRooms.keys) + namespace.localSockets.map(\.id)))
        case .join(let options, let rooms): local.joinSockets(options, rooms: rooms)
        case .leave(let options, let rooms): local.leaveSockets(options, rooms: rooms)
        case .disconnect(let options, let closes): local.disconnectSockets(options, closingConnections: closes)
        case .joinOne(let socket, let room, let id): one(socket, namespace, request, id) { $0.join(room) }
        case .leaveOne(let socket, let room, let id): one(socket, namespace, request, id) { $0.leave(room) }
        case .disconnectOne(let socket, let closes, let id):
            one(socket, namespace, request, id) { $0.disconnect(closingConnection: closes) }
        case .fetch(let options, let id): answer(request, id, .sockets(local.described(options)))
        case .serverSideEmit(let event, let id):
            support.handle(event, id, namespace) { self.answer(request, $0, .serverSideEmit($1)) }
        case .broadcast(let event, let target, let options, let id):
            guard target == name else { return }
            support.broadcast(
                event, options, counted: { [weak self] in self?.answer(request, id, .clientCount($0)) },
                acknowledged: { [weak self] in self?.answer(request, id, .ack($0)) })
        }
    }

    /// Does something to one socket, and says so, if it is here.
    private func one(
        _ socket: String, _ namespace: SocketIONamespace, _ request: ClassicRequest, _ id: String, _ body: (SocketIOSocket) -> Void
    ) {
        guard let socket = namespace.socket(socket) else { return }
        body(socket)
        answer(request, id, .done)
    }

    private func answer(_ request: ClassicRequest, _ id: String, _ content: ClassicResponse.Content) {
        let ownChannel = configuration.answersOnOwnChannel ? request.node.map { channels.response(to: $0) } : nil
        redis.publish(ClassicResponse(requestID: id, content: content).encoded, to: ownChannel ?? channels.response)
    }

    // MARK: Responses

    private func receivedResponse(_ response: ClassicResponse) {
        let id = response.requestID
        switch response.content {
        case .clientCount(let count): support.counted(id, count)
        case .ack(let answer): support.acknowledged(id, answer)
        default: _ = requests.answered(id, response.content)
        }
    }
}
