/// The version of the command and of the libraries that it is built with: the topmost section of CHANGELOG.md, `-dev` until that is released.
let duplexVersion = "0.1.0-dev"
