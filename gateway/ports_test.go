package gateway

import "testing"

// A port that changes all the time is told of ten times in half a minute, with
// how often nothing was said in between, and its last change is told in the end.
func TestTelling(t *testing.T) {
	var p telling
	told, counted := 0, 0
	look := func(now uint32, changes int) {
		p.changes += changes
		if notShown, due := p.due(now); due {
			told++
			counted += 1 + notShown
		}
	}
	const begun, seconds = 1000, 100
	for now := range uint32(seconds) {
		for range 20 {
			look(begun+now, 1)
		}
	}
	if told != 4*maxTold {
		t.Errorf("told of %d times in %d seconds, want %d", told, seconds, 4*maxTold)
	}
	// Nothing changes any more.
	for now := range uint32(2 * alertEvery) {
		look(begun+seconds+now, 0)
	}
	if told != 4*maxTold+1 || counted != 20*seconds {
		t.Errorf("told of %d times, with %d of %d changes", told, counted, 20*seconds)
	}
	look(begun+1000, 0)
	look(begun+1000, 2)
	if told != 4*maxTold+2 || counted != 20*seconds+2 {
		t.Errorf("told of %d times, with %d changes", told, counted)
	}
}
