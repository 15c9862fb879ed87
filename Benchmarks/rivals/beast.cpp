// A rival: Boost.Beast, one thread. Usage: beast PORT
//
// / sends back what it gets; /broadcast sends it to everyone there. Asio's locks are off, as there is one thread, and so is compression.
// No timeouts, no keepalive: Beast has them, and they would cost it a little.
#include <boost/asio.hpp>
#include <boost/beast.hpp>
#include <cstdlib>
#include <deque>
#include <memory>
#include <set>
#include <string>

namespace asio = boost::asio;
namespace beast = boost::beast;
using Executor = asio::io_context::executor_type;
using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;
using Error = boost::system::error_code;
using Text = std::shared_ptr<const std::string>;

class Session;
static std::set<Session*> members;

class Session : public std::enable_shared_from_this<Session> {
    beast::websocket::stream<Socket> stream;
    beast::flat_buffer in;
    beast::http::request<beast::http::empty_body> request;
    std::deque<Text> out;  // of /broadcast; the first is being written

  public:
    explicit Session(Socket socket) : stream(std::move(socket)) {
        stream.binary(true);
        stream.auto_fragment(false);
    }
    ~Session() { members.erase(this); }

    void start() {
        beast::http::async_read(stream.next_layer(), in, request, [self = shared_from_this()](Error error, size_t) {
            if (!error) self->accept();
        });
    }

    void accept() {
        stream.async_accept(request, [self = shared_from_this()](Error error) {
            if (error) return;
            if (self->request.target() != "/broadcast") return self->read();
            members.insert(self.get());
            self->listen();
        });
    }

    void read() {
        stream.async_read(in, [self = shared_from_this()](Error error, size_t) {
            if (!error) self->echo();
        });
    }

    void echo() {
        stream.async_write(in.data(), [self = shared_from_this()](Error error, size_t) {
            self->in.clear();
            if (!error) self->read();
        });
    }

    void listen() {
        stream.async_read(in, [self = shared_from_this()](Error error, size_t) {
            if (error) return;
            auto text = std::make_shared<const std::string>(beast::buffers_to_string(self->in.data()));
            self->in.clear();
            for (auto member : members) member->send(text);
            self->listen();
        });
    }

    void send(const Text& text) {
        out.push_back(text);
        if (out.size() == 1) write();
    }

    void write() {
        stream.async_write(asio::buffer(*out.front()), [self = shared_from_this()](Error error, size_t) {
            if (error) return;
            self->out.pop_front();
            if (!self->out.empty()) self->write();
        });
    }
};

static void accept(Acceptor& acceptor) {
    acceptor.async_accept([&](Error error, Socket socket) {
        Error ignored;
        socket.set_option(asio::ip::tcp::no_delay(true), ignored);
        if (!error) std::make_shared<Session>(std::move(socket))->start();
        accept(acceptor);
    });
}

int main(int argc, char** argv) {
    asio::io_context context(BOOST_ASIO_CONCURRENCY_HINT_UNSAFE);
    asio::ip::tcp::endpoint local(asio::ip::address_v4::loopback(), argc > 1 ? std::atoi(argv[1]) : 9000);
    Acceptor acceptor(context, local);
    acceptor.listen(4096);
    accept(acceptor);
    context.run();
}
