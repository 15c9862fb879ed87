// Certificates and keys in files, and what is wrong with one.

import TestSupport
import Testing

@testable import WebSockets

@Suite struct PEMFileTests {
    private let folder: TestFolder
    private let authority: TestAuthority

    init() throws {
        folder = try TestFolder()
        authority = try TestAuthority()
    }

    @Test func readsEveryCertificate() throws {
        let file = try folder.write(authority.root + "\n" + TestAuthority("another").root, "two.pem")
        #expect(try PEMFile.certificates(file).count == 2)
    }

    @Test func readsAKey() throws {
        let file = try folder.write(authority.identity(names: ["localhost"]).key, "one.key")
        _ = try PEMFile.privateKey(file)
    }

    @Test func saysWhatIsWrong() throws {
        let empty = try folder.write("", "empty.pem")
        let nonsense = try folder.write("nonsense", "nonsense.pem")
        let long = try folder.write(String(repeating: "x", count: 1 << 20) + "x", "long.pem")
        for (file, words) in [
            (empty, "it holds no certificate in PEM"), (nonsense, "it holds no certificate in PEM"), (long, "it is over 1048576 bytes"),
            (folder.path + "/none.pem", "No such file or directory"), (folder.path, "Is a directory"),
        ] {
            let error = #expect(throws: PEMFile.Unusable.self) { try PEMFile.certificates(file) }
            #expect(error?.description == words, "\(file)")
        }
        let certificate = try folder.write(authority.root, "root.pem")
        for file in [empty, nonsense, certificate] {
            let error = #expect(throws: PEMFile.Unusable.self) { try PEMFile.privateKey(file) }
            #expect(error?.description.hasPrefix("it holds no private key in PEM") == true, "\(file): \(error as Any)")
        }
    }

    /// Text around the certificates is usual, and so is a file as large as the limit.
    @Test func readsAFileOfTheLargestSize() throws {
        let filler = String(repeating: "#", count: (1 << 20) - authority.root.utf8.count - 1) + "\n"
        #expect(try PEMFile.certificates(folder.write(filler + authority.root, "large.pem")).count == 1)
    }
}
