// A session's cookies: CookieJar.swift.

import Testing

@testable import EngineIO

@Suite struct CookieJarTests {
    private func field(_ cookies: String...) -> String? {
        var jar = CookieJar()
        for cookie in cookies { jar.take(cookie) }
        return jar.field
    }

    @Test func cookiesAreSentBack() {
        #expect(field() == nil)
        #expect(field("a=1") == "a=1")
        #expect(field("a=1; Path=/; HttpOnly", " b = x=y ; Max-Age=60") == "a=1; b=x=y")
        #expect(field("a=1", "b=2", "a=3") == "b=2; a=3")
        #expect(field("a=") == "a=")
    }

    @Test func someAreRemovedOrNone() {
        #expect(field("a=1", "a=2; max-age=0") == nil)
        #expect(field("a=1; Max-Age=-1") == nil)
        #expect(field("a=1; Max-Age=soon") == "a=1")
        #expect(field("nothing", "=value", "") == nil)
    }

    @Test func theyAreLimited() {
        #expect(field("a=" + String(repeating: "x", count: 4095)) == nil)
        var jar = CookieJar()
        for number in 0..<60 { jar.take("c\(number)=1") }
        #expect(jar.field?.split(separator: ";").count == 50)
    }
}
