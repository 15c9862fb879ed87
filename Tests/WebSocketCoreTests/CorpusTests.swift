// The fuzz targets' corpora, replayed: what fuzzing once found stays found (Scripts/fuzz; Fuzz/Corpus/TARGET).

import Foundation
import Testing

@Suite struct CorpusTests {
    private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../Fuzz/Corpus").standardized

    @Test(arguments: FuzzTarget.allCases) func keepsItsPromises(target: FuzzTarget) throws {
        let folder = Self.folder.appending(path: target.rawValue)
        let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        #expect(files.count >= 10)
        for file in files.sorted(by: { $0.path < $1.path }) {
            let input = [UInt8](try Data(contentsOf: file))
            do throws(Finding) {
                try target.check(input)
            } catch {
                Issue.record("\(file.lastPathComponent): \(error.description)")
            }
        }
    }
}
