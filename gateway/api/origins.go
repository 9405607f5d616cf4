package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"vxgw/gateway/control"
)

// maxWords is the size of the largest request of an origin, in bytes: 100,000 MACs take
// nine million.
const maxWords = 16 << 20

// wordsTime is how long a request of an origin may take: one of a hundred thousand MACs
// takes a second, and longer where the gateway has better things to do.
const wordsTime = time.Minute

// OriginKeeper is a gateway that controllers speak to. Its methods may be called from any
// goroutine.
type OriginKeeper interface {
	OriginRules() control.Rules
	// TellOrigin does what an origin says, or nothing of it. Its error is a
	// *control.Fault, or one of the package's own.
	TellOrigin(control.Request) (control.Answer, error)
	// OriginWords returns what an origin has said, and false where that is nothing.
	OriginWords(control.Origin) (control.Answer, control.Words, bool)
	// AttachOrigin notes that a stream of events is open in an origin's name, and detach
	// that it is closed: as long as one is, the origin lives.
	AttachOrigin(control.Origin) (detach func())
	// EndOrigin forgets an origin; may is as control.Request has it.
	EndOrigin(o control.Origin, may func(tag string, there bool) bool) error
}

// originRoutes are those of one controller each.
func (s *Server) originRoutes() []route {
	keeper := s.opts.Origins
	if keeper == nil {
		return nil
	}
	name := param{name: "origin", in: "path", doc: "who speaks: evpn, ovsdb, or a name of one's own", is: schema{"type": "string", "pattern": originPattern}}
	of := func(method, summary, detail string, answers any, h func(http.ResponseWriter, *http.Request, OriginKeeper, control.Origin)) route {
		return route{
			method: method, path: "/v1/origins/{origin}", on: onSocket, writes: method != http.MethodGet,
			summary: summary, detail: detail, answers: answers, params: []param{name},
			handler: func(w http.ResponseWriter, r *http.Request) {
				o, err := control.ParseOrigin(r.PathValue("origin"))
				if err != nil {
					refuse(w, http.StatusNotFound, "%v", err)
					return
				}
				h(w, r, keeper, o)
			},
		}
	}
	get := of(http.MethodGet, "what a controller has said", "As PUT takes it. 404: it has said nothing, or its hold time has ended. The answer has an ETag.", OriginWords{}, getOrigin)
	put := of(http.MethodPut, "replace what a controller has said", "All of it is done, or nothing. "+preconditions+" "+refusals, OriginAnswer{}, tellOrigin)
	put.takes = OriginWords{}
	patch := of(http.MethodPatch, "add to what a controller has said, and take from it",
		"What is in remove goes first. Without a body's members it is a sign of life. All of it is done, or nothing. 404: it has said nothing, or its hold time has ended: PUT all that it has to say. "+
			preconditions+" "+refusals, OriginAnswer{}, tellOrigin)
	patch.takes, patch.often = OriginPatch{}, true
	end := of(http.MethodDelete, "end a controller: what it has said is forgotten", "404: there is none of that name. "+preconditions, OriginEnded{}, endOrigin)
	for _, r := range []*route{&put, &patch, &end} {
		r.params = append(r.params, ifMatch, ifNoneMatch)
		r.maxBody = maxWords
	}
	return []route{get, put, patch, end}
}

// originPattern is what control.ParseOrigin takes.
const originPattern = "^[a-z][a-z0-9-]{0,30}$"

const (
	preconditions = "412: If-Match or If-None-Match says so (RFC 9110 section 13.1)."
	refusals      = "400: it is written wrong, and 409: a bound would be exceeded; both name the place. 413: it has more than 16 MiB."
)

var (
	ifMatch     = param{name: "If-Match", in: "header", doc: "only if what was said has one of these ETags; *: if there is anything", is: schema{"type": "string"}}
	ifNoneMatch = param{name: "If-None-Match", in: "header", doc: "only if it has none of these; *: if there is nothing yet", is: schema{"type": "string"}}
)

// getOrigin answers with what an origin has said, as PUT would take it.
func getOrigin(w http.ResponseWriter, r *http.Request, keeper OriginKeeper, o control.Origin) {
	a, words, ok := keeper.OriginWords(o)
	if !ok {
		refuseOrigin(w, control.ErrUnknown)
		return
	}
	w.Header().Set("ETag", a.Tag)
	writeJSONTo(w, wordsOf(a.Page.Hold, &words)) // of HEAD net/http sends no body
}

// tellOrigin does what an origin says.
func tellOrigin(w http.ResponseWriter, r *http.Request, keeper OriginKeeper, o control.Origin) {
	within := http.NewResponseController(w)
	end := time.Now().Add(wordsTime)
	if err := errors.Join(within.SetReadDeadline(end), within.SetWriteDeadline(end)); err != nil {
		refuseOrigin(w, err)
		return
	}
	req := control.Request{Origin: o, May: precondition(r)}
	body, err := io.Reader(r.Body), error(nil)
	if r.Method == http.MethodPut {
		var words control.Words
		words, req.Hold, err = readReplace(body, keeper.OriginRules())
		req.Replace = &words
	} else {
		req.Edit, req.Hold, err = readPatch(body, keeper.OriginRules())
	}
	var a control.Answer
	if err == nil {
		a, err = keeper.TellOrigin(req)
	} else if f := (*control.Fault)(nil); errors.As(err, &f) {
		err = malformed{error: f}
	}
	if err != nil {
		refuseOrigin(w, err)
		return
	}
	w.Header().Set("ETag", a.Tag)
	writeJSONTo(w, answerOf(a))
}

func endOrigin(w http.ResponseWriter, r *http.Request, keeper OriginKeeper, o control.Origin) {
	if err := keeper.EndOrigin(o, precondition(r)); err != nil {
		refuseOrigin(w, err)
		return
	}
	writeJSONTo(w, OriginEnded{string(o)})
}

// precondition returns what If-Match and If-None-Match ask (RFC 9110 section 13.1), nil
// where that is nothing.
func precondition(r *http.Request) func(tag string, there bool) bool {
	match, none := r.Header.Values("If-Match"), r.Header.Values("If-None-Match")
	if match == nil && none == nil {
		return nil
	}
	return func(tag string, there bool) bool {
		return (match == nil || there && names(match, tag)) && (none == nil || !(there && names(none, tag)))
	}
}

// names reports whether a list of entity tags has one, or stands for all.
func names(lists []string, tag string) bool {
	for _, l := range lists {
		for is := range strings.SplitSeq(l, ",") {
			if is = strings.TrimSpace(is); is == tag || is == "*" {
				return true
			}
		}
	}
	return false
}

// refuseOrigin answers with an error for people. A Fault of the request as it is written
// comes as malformed; others are for what is there already.
func refuseOrigin(w http.ResponseWriter, err error) {
	status, is := http.StatusInternalServerError, errorBody{Error: err.Error()}
	var fault *control.Fault
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &fault):
		status, is.Place = http.StatusConflict, fault.Place
		if errors.As(err, new(malformed)) {
			status = http.StatusBadRequest
		}
	case errors.As(err, &long):
		status = http.StatusRequestEntityTooLarge
		is.Error = "the request is longer than 16 MiB: say it in parts, the first by PUT, the others by PATCH"
	case errors.Is(err, os.ErrDeadlineExceeded):
		status = http.StatusRequestTimeout
		is.Error = "the request stopped in the middle, and was waited for in vain: send it at once"
	case errors.Is(err, control.ErrUnknown):
		status = http.StatusNotFound
	case errors.Is(err, control.ErrChanged):
		status = http.StatusPreconditionFailed
	case errors.Is(err, control.ErrFull):
		status = http.StatusConflict
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(is)
}
