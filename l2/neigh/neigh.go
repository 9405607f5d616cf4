// Package neigh is about who has which IP address on an Ethernet: views over
// ARP (RFC 826) and neighbour discovery (RFC 4861), answers on behalf of
// neighbours that are known, and the table of them that is learned by listening.
//
// It is careful in one direction: to say nothing and have a request flooded
// costs a frame, to answer with what is no longer so cuts a host off. Whatever is
// in doubt is forgotten.
//
// Look-ups take no lock and allocate nothing, nor does a message that says what
// is known already, but that once a second it notes when it was heard. All
// methods may be called from any goroutine. The storage holds no pointers, and
// is given back when entries go: 32 bytes a slot, 43 to 228 an entry.
package neigh
