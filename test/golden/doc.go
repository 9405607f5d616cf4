// Package golden holds the gateway to the rules of RFC 7348, packet by packet:
// for each rule a capture of what comes in and one of what must come out, byte
// for byte. The captures are made by gopacket and by hand, never by the
// gateway's own code. README.md lists them.
package golden
