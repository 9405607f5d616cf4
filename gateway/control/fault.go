package control

// Fault is what is wrong with a request, and where.
type Fault struct {
	Place   string // as a JSON pointer (RFC 6901); "": the whole
	Message string // what is there, and what would be accepted
}

// Error returns place and message.
func (f *Fault) Error() string {
	if f.Place == "" {
		return f.Message
	}
	return f.Place + ": " + f.Message
}

// Unused is entries that are of no use at the moment, all for one reason.
type Unused struct {
	Section string
	Reason  string // for people
	Count   int
	Example string // one of them
}
