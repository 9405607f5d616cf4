package capture

// want is what one capture asks workers for. What else it asks for is looked at
// where nobody has to be fast.
type want struct {
	place   Place
	any     bool   // at every place
	vni     uint32 // 0: of all
	dropped bool   // only what is dropped
}

// takes reports whether a frame seen at a place is asked for. Of what is dropped a
// capture of all frames has the first note already. A frame whose VNI is not known is
// of no VNI.
func (w *want) takes(p Place, vni uint32) bool {
	return (w.any || w.place.slot() == p.slot()) && (w.vni == 0 || w.vni == vni)
}

// wants is what all captures ask workers for. It never changes once made.
type wants struct {
	all  []want
	snap int // bytes of a frame that are kept
}

// seen reports whether a frame at a place is to be noted whatever becomes of it.
func (w *wants) seen(p Place, vni uint32) bool {
	for i := range w.all {
		if !w.all[i].dropped && w.all[i].takes(p, vni) {
			return true
		}
	}
	return false
}

// lost reports whether a frame that is dropped at a place is to be noted.
func (w *wants) lost(p Place, vni uint32) bool {
	for i := range w.all {
		if w.all[i].takes(p, vni) {
			return true
		}
	}
	return false
}
