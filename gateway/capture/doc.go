// Package capture shows what the gateway does with frames while it does it, and
// after the fact: it writes pcapng of what comes in and goes out on both sides, and
// keeps the frames that were dropped last.
//
// Workers are never waited for and never wait. Each has a Witness of its own, which
// copies what somebody asks for into a Ring; one task reads the rings. What a ring has
// no room for is counted, and carried like any other frame.
package capture
