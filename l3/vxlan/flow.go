package vxlan

// FlowHash returns a hash of the flow that an IP packet belongs to: addresses,
// protocol, and ports where every packet of the flow has them. It is what
// Entropy.SourcePort is made of, under a seed of the caller's.
func FlowHash(packet []byte, seed uint64) uint32 {
	if h, ok := hashIPv4(packet, seed); ok {
		return uint32(h >> 32)
	}
	h, _ := hashIPv6(packet, seed)
	return uint32(h >> 32)
}
