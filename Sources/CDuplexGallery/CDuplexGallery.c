// The gallery's files, in the binary as they stand in the tree: pages, and the Swift files that the pages show.
//
// By C's #embed and not by SwiftPM's .embedInCode: that writes each byte as a number for the Swift compiler, which takes a minute for what
// is here, and no Swift file can be both source and resource. The compiler notes what is embedded as it notes headers, so that a change of
// any of them builds this anew.

#include "CDuplexGallery.h"

#pragma clang diagnostic ignored "-Wc23-extensions"

// The frame.
static const unsigned char gallery_css[] = {
#embed "../Gallery/Resources/gallery.css"
};
static const unsigned char gallery_js[] = {
#embed "../Gallery/Resources/gallery.js"
};
static const unsigned char index_html[] = {
#embed "../Gallery/Resources/index.html"
};
static const unsigned char Conversation_swift[] = {
#embed "../Gallery/Conversation.swift"
};
static const unsigned char RateLimit_swift[] = {
#embed "../Gallery/RateLimit.swift"
};

// Exhibit 1: chat.
static const unsigned char chat_html[] = {
#embed "../Gallery/Resources/chat.html"
};
static const unsigned char Chat_swift[] = {
#embed "../Gallery/Chat.swift"
};
static const unsigned char Crowd_swift[] = {
#embed "../Gallery/Crowd.swift"
};

// Exhibit 2: notifications.
static const unsigned char notifications_html[] = {
#embed "../Gallery/Resources/notifications.html"
};
static const unsigned char Notifications_swift[] = {
#embed "../Gallery/Notifications.swift"
};

// Exhibit 3: dashboard.
static const unsigned char dashboard_html[] = {
#embed "../Gallery/Resources/dashboard.html"
};
static const unsigned char Dashboard_swift[] = {
#embed "../Gallery/Dashboard.swift"
};
static const unsigned char ProcessFigures_swift[] = {
#embed "../Gallery/ProcessFigures.swift"
};

// Exhibit 4: ticker.
static const unsigned char ticker_html[] = {
#embed "../Gallery/Resources/ticker.html"
};
static const unsigned char Ticker_swift[] = {
#embed "../Gallery/Ticker.swift"
};

// Exhibit 5: auction.
static const unsigned char auction_html[] = {
#embed "../Gallery/Resources/auction.html"
};
static const unsigned char Auction_swift[] = {
#embed "../Gallery/Auction.swift"
};

// Exhibit 6: game.
static const unsigned char game_html[] = {
#embed "../Gallery/Resources/game.html"
};
static const unsigned char Game_swift[] = {
#embed "../Gallery/Game.swift"
};
static const unsigned char GameWorld_swift[] = {
#embed "../Gallery/GameWorld.swift"
};

// Exhibit 7: shared document.
static const unsigned char document_html[] = {
#embed "../Gallery/Resources/document.html"
};
static const unsigned char SharedDocument_swift[] = {
#embed "../Gallery/SharedDocument.swift"
};
static const unsigned char TextEdit_swift[] = {
#embed "../Gallery/TextEdit.swift"
};

// Exhibit 8: live stream.
static const unsigned char live_html[] = {
#embed "../Gallery/Resources/live.html"
};
static const unsigned char LiveStream_swift[] = {
#embed "../Gallery/LiveStream.swift"
};

// Exhibit 9: devices.
static const unsigned char devices_html[] = {
#embed "../Gallery/Resources/devices.html"
};
static const unsigned char Devices_swift[] = {
#embed "../Gallery/Devices.swift"
};

// The comparison.
static const unsigned char compare_html[] = {
#embed "../Gallery/Resources/compare.html"
};
static const unsigned char Compare_swift[] = {
#embed "../Gallery/Compare.swift"
};
static const unsigned char CompareRun_swift[] = {
#embed "../Gallery/CompareRun.swift"
};
static const unsigned char CompareLedger_swift[] = {
#embed "../Gallery/CompareLedger.swift"
};
static const unsigned char EventLog_swift[] = {
#embed "../Gallery/EventLog.swift"
};
static const unsigned char ComparePlain_swift[] = {
#embed "../Gallery/ComparePlain.swift"
};
static const unsigned char CompareWire_swift[] = {
#embed "../Gallery/CompareWire.swift"
};

// Exhibit 10: support chat.
static const unsigned char support_html[] = {
#embed "../Gallery/Resources/support.html"
};
static const unsigned char Support_swift[] = {
#embed "../Gallery/Support.swift"
};
static const unsigned char Desk_swift[] = {
#embed "../Gallery/Desk.swift"
};
static const unsigned char DeskCase_swift[] = {
#embed "../Gallery/DeskCase.swift"
};

// Exhibit 12: nodes.
static const unsigned char nodes_html[] = {
#embed "../Gallery/Resources/nodes.html"
};
static const unsigned char Nodes_swift[] = {
#embed "../Gallery/Nodes.swift"
};
static const unsigned char NodeRoom_swift[] = {
#embed "../Gallery/NodeRoom.swift"
};
static const unsigned char NodeTable_swift[] = {
#embed "../Gallery/NodeTable.swift"
};
static const unsigned char NodeNews_swift[] = {
#embed "../Gallery/NodeNews.swift"
};
static const unsigned char GalleryCluster_swift[] = {
#embed "../Gallery/GalleryCluster.swift"
};

#define FILE(name, symbol) {name, symbol, (int)sizeof symbol}

static const struct duplex_gallery_file files[] = {
    FILE("gallery.css", gallery_css),
    FILE("gallery.js", gallery_js),
    FILE("index.html", index_html),
    FILE("Conversation.swift", Conversation_swift),
    FILE("RateLimit.swift", RateLimit_swift),
    FILE("chat.html", chat_html),
    FILE("Chat.swift", Chat_swift),
    FILE("Crowd.swift", Crowd_swift),
    FILE("notifications.html", notifications_html),
    FILE("Notifications.swift", Notifications_swift),
    FILE("dashboard.html", dashboard_html),
    FILE("Dashboard.swift", Dashboard_swift),
    FILE("ProcessFigures.swift", ProcessFigures_swift),
    FILE("ticker.html", ticker_html),
    FILE("Ticker.swift", Ticker_swift),
    FILE("auction.html", auction_html),
    FILE("Auction.swift", Auction_swift),
    FILE("game.html", game_html),
    FILE("Game.swift", Game_swift),
    FILE("GameWorld.swift", GameWorld_swift),
    FILE("document.html", document_html),
    FILE("SharedDocument.swift", SharedDocument_swift),
    FILE("TextEdit.swift", TextEdit_swift),
    FILE("live.html", live_html),
    FILE("LiveStream.swift", LiveStream_swift),
    FILE("devices.html", devices_html),
    FILE("Devices.swift", Devices_swift),
    FILE("compare.html", compare_html),
    FILE("Compare.swift", Compare_swift),
    FILE("CompareRun.swift", CompareRun_swift),
    FILE("CompareLedger.swift", CompareLedger_swift),
    FILE("EventLog.swift", EventLog_swift),
    FILE("ComparePlain.swift", ComparePlain_swift),
    FILE("CompareWire.swift", CompareWire_swift),
    FILE("support.html", support_html),
    FILE("Support.swift", Support_swift),
    FILE("Desk.swift", Desk_swift),
    FILE("DeskCase.swift", DeskCase_swift),
    FILE("nodes.html", nodes_html),
    FILE("Nodes.swift", Nodes_swift),
    FILE("NodeRoom.swift", NodeRoom_swift),
    FILE("NodeTable.swift", NodeTable_swift),
    FILE("NodeNews.swift", NodeNews_swift),
    FILE("GalleryCluster.swift", GalleryCluster_swift),
};

int duplex_gallery_file_count(void) { return (int)(sizeof files / sizeof *files); }
struct duplex_gallery_file duplex_gallery_file(int index) { return files[index]; }
