// The files that the gallery serves and shows, as they stood in the tree when this was built.

import CDuplexGallery

/// The files that the gallery serves and shows.
enum GalleryFiles {
    private static let files: [String: String] = {
        var files: [String: String] = [:]
        for index in 0..<duplex_gallery_file_count() {
            let file = duplex_gallery_file(index)
            let bytes = UnsafeBufferPointer(start: file.bytes, count: Int(file.count))
            files[String(cString: file.name)] = String(decoding: bytes, as: UTF8.self)
        }
        return files
    }()

    /// All names.
    static var names: [String] { files.keys.sorted() }

    /// A file's text; empty if `CDuplexGallery.c` does not name it, which a test would tell.
    static func text(_ name: String) -> String { files[name] ?? "" }
}
