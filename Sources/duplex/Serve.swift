// `duplex serve`: a server to try things out with.

import ArgumentParser

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Serve WebSockets, and a page to try them.")

    @OptionGroup var logging: LogOptions

    func run() async throws {
        logging.bootstrap()
    }
}
