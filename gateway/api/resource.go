package api

// Resource is one kind of state that can be listed.
type Resource struct {
	Name  string // as in GET /v1/NAME and `vxgw show NAME`
	Title string // what it is, in a few words
	ByVNI bool   // whether the list can be narrowed to one VNI
}

// Resources are all there are, in the order in which help lists them.
var Resources = []Resource{
	{"ports", "access ports, their state and traffic", true},
	{"vnis", "bridge domains, with what is in them", true},
	{"vteps", "remote VTEPs, configured and heard of", true},
	{"macs", "the forwarding database: which MAC is where", true},
	{"neighbours", "IP neighbours, for ARP and ND", true},
	{"routes", "routes of the VRFs", false},
	{"origins", "controllers, how they are and how much they have said", false},
	{"drops", "frames dropped, by reason and direction", false},
	{"datapath", "how the frames of each interface are moved", false},
	{"config", "which configuration runs, and whether it waits to be confirmed", false},
}
