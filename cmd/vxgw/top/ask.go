package top

import (
	"context"
	"time"

	"vxgw/gateway/api"
)

// maxMACs is how many MACs are asked for; whoever looks for one of more narrows the
// search.
const maxMACs = 500

// question is what a poll asks for beside what is always shown.
type question struct {
	macs  bool   // search MACs
	words string // ... by these
	vni   uint32 // all of this VNI; 0: of none
	vtep  string // all of this VTEP; "": of none
}

// poll is what the gateway said at one moment.
type poll struct {
	question
	api.Overview
	config *api.ConfigRow // nil: it has no configuration file
	texts  map[string]text

	found   api.MACPage
	foundNo error        // why there is no page
	vniRow  *api.VNIRow  // nil: not asked for, or gone
	vtepRow *api.VTEPRow // nil: not asked for, or gone
}

// text is what a reason to drop means, and what to do about it.
type text struct{ meaning, mend string }

// asker asks a gateway.
type asker interface {
	ask(context.Context, question) (*poll, error)
}

// client is the asker of a real gateway. One poll at a time.
type client struct {
	api   *api.Client
	texts map[string]text // of another gateway's life too: they come with the program
}

// askTime is how long a poll may take.
const askTime = 15 * time.Second

func (c *client) ask(ctx context.Context, q question) (*poll, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	p := &poll{question: q}
	var err error
	if p.Overview, err = c.api.Overview(ctx); err != nil {
		return nil, err
	}
	if p.config, err = first(ctx, c.api, "config", 0, func(api.ConfigRow) bool { return true }); err != nil {
		return nil, err
	}
	if p.texts, err = c.textsFor(ctx, p.Drops); err != nil {
		return nil, err
	}
	if q.macs {
		p.found, p.foundNo = c.api.SearchMACs(ctx, q.words, maxMACs)
	}
	if q.vni != 0 {
		if p.vniRow, err = first(ctx, c.api, "vnis", q.vni, func(r api.VNIRow) bool { return r.VNI == q.vni }); err != nil {
			return nil, err
		}
	}
	if q.vtep != "" {
		p.vtepRow, err = first(ctx, c.api, "vteps", 0, func(r api.VTEPRow) bool { return r.Address == q.vtep })
	}
	return p, err
}

// first returns the first row of a resource that is wanted; nil where there is none.
func first[T any](ctx context.Context, c *api.Client, name string, vni uint32, wanted func(T) bool) (*T, error) {
	for row, err := range api.Rows[T](ctx, c, name, vni) {
		if err != nil {
			return nil, err
		}
		if wanted(row) {
			return &row, nil
		}
	}
	return nil, nil
}

// textsFor returns the texts of all reasons. They are asked for when one is new.
func (c *client) textsFor(ctx context.Context, all []api.DropSum) (map[string]text, error) {
	known := true
	for _, d := range all {
		_, ok := c.texts[d.Reason]
		known = known && ok
	}
	if known {
		return c.texts, nil
	}
	texts := make(map[string]text)
	for row, err := range api.Rows[api.DropRow](ctx, c.api, "drops", 0) {
		if err != nil {
			return nil, err
		}
		texts[row.Reason] = text{row.Meaning, row.Mend}
	}
	c.texts = texts
	return texts, nil
}
