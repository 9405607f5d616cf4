package api

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"vxgw/gateway/control"
)

// macDigits is how many hexadecimal digits a MAC address has.
const macDigits = 12

// MACQuery says which entries of the forwarding database are asked for: those for
// which everything that is set holds.
type MACQuery struct {
	VNI    uint32     // 0: any
	Port   string     // behind the access port of this name
	PortIn string     // behind an access port whose name has this in it
	VTEP   netip.Addr // behind this VTEP
	Origin string     // OriginLearned, "static", ...
	Parts  []MACPart  // the address has all of these in it
}

// MACPart is a run of the hexadecimal digits of a MAC address.
type MACPart struct {
	digits uint64
	n      int  // how many digits
	bytes  bool // it begins where a byte does
}

// Has reports whether mac, a number below 1<<48, has the part in it.
func (p MACPart) Has(mac uint64) bool {
	step := 1
	if p.bytes {
		step = 2
	}
	mask := uint64(1)<<(4*p.n) - 1
	for at := 0; at+p.n <= macDigits; at += step {
		if mac>>(4*(macDigits-at-p.n))&mask == p.digits {
			return true
		}
	}
	return false
}

// HasMAC reports whether mac, a number below 1<<48, is one that is asked for.
func (q *MACQuery) HasMAC(mac uint64) bool {
	for _, p := range q.Parts {
		if !p.Has(mac) {
			return false
		}
	}
	return true
}

// Anywhere reports whether it does not matter what a MAC is behind.
func (q *MACQuery) Anywhere() bool { return q.Port == "" && q.PortIn == "" && !q.VTEP.IsValid() }

// BehindPort reports whether what is behind this port is asked for.
func (q *MACQuery) BehindPort(name string) bool {
	return !q.VTEP.IsValid() && (q.Port == "" || q.Port == name) && strings.Contains(name, q.PortIn)
}

// BehindVTEP reports whether what is behind this VTEP is asked for.
func (q *MACQuery) BehindVTEP(a netip.Addr) bool {
	return q.Port == "" && q.PortIn == "" && (!q.VTEP.IsValid() || q.VTEP == a)
}

// ParseMACQuery reads what somebody types to find a MAC: words, each the address
// of a VTEP, the name of a port or a part of it, an origin, or some digits of the
// MAC, however they are grouped. A port's whole name goes before the rest, and then that
// of a controller; isPort and isOrigin know these.
func ParseMACQuery(text string, isPort, isOrigin func(string) bool) (MACQuery, error) {
	var q MACQuery
	for _, word := range strings.Fields(text) {
		if err := q.word(word, isPort, isOrigin); err != nil {
			return MACQuery{}, err
		}
	}
	return q, nil
}

var errTwoPlaces = errors.New("a MAC is behind one port or VTEP: name one")

func (q *MACQuery) word(word string, isPort, isOrigin func(string) bool) error {
	if isPort(word) {
		if !q.Anywhere() {
			return errTwoPlaces
		}
		q.Port = word
		return nil
	}
	if a, err := netip.ParseAddr(word); err == nil {
		if !q.Anywhere() {
			return errTwoPlaces
		}
		q.VTEP = a.Unmap()
		return nil
	}
	switch lower := strings.ToLower(word); {
	case slices.Contains(ownOrigins, lower), lower == string(control.EVPN), lower == string(control.OVSDB), isOrigin(lower):
		if q.Origin != "" && q.Origin != lower {
			return errors.New("a MAC has one origin: name one")
		}
		q.Origin = lower
		return nil
	}
	if p, ok, err := parseMACPart(word); err != nil || ok {
		q.Parts = append(q.Parts, p)
		return err
	}
	if !q.Anywhere() {
		return errTwoPlaces
	}
	q.PortIn = word
	return nil
}

// ownOrigins are those that need no controller.
var ownOrigins = []string{OriginLearned, OriginStatic, OriginGateway}

// parseMACPart reads digits of a MAC: 02:00:00:00:01:02, 0200.0000.0102, 1:2, 0102.
// ok is false where word is something else.
func parseMACPart(word string) (p MACPart, ok bool, err error) {
	groups := strings.FieldsFunc(word, func(r rune) bool { return r == ':' || r == '-' || r == '.' })
	if len(groups) == 0 || strings.Trim(word, "0123456789abcdefABCDEF:-.") != "" {
		return p, false, nil
	}
	colons := strings.ContainsAny(word, ":-")
	var digits strings.Builder
	for i, g := range groups {
		// 2:0:0:0:1:2 is an address too; of an unfinished one the last byte may be.
		if colons && len(g) == 1 && (i < len(groups)-1 || len(groups) == macDigits/2) {
			digits.WriteByte('0')
		}
		digits.WriteString(g)
	}
	if digits.Len() > macDigits {
		return p, false, fmt.Errorf("%q is longer than a MAC address: %d digits at most", word, macDigits)
	}
	p.digits, err = strconv.ParseUint(digits.String(), 16, 64)
	p.n, p.bytes = digits.Len(), colons || len(groups) > 1
	return p, err == nil, err
}
