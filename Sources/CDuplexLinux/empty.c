// The target is its header; SwiftPM asks for a source file.
