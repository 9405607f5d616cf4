package api

import (
	"encoding/json"
	"errors"
	"net/http"
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
	// EndOrigin forgets an origin; may is as control.Request has it.
	EndOrigin(o control.Origin, may func(tag string, there bool) bool) error
}

// originHandler answers for /v1/origins/{origin}.
func (s *Server) originHandler(keeper OriginKeeper) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		o, err := control.ParseOrigin(r.PathValue("origin"))
		if err != nil {
			refuse(w, http.StatusNotFound, "%v", err)
			return
		}
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			getOrigin(w, r, keeper, o)
		case http.MethodPut, http.MethodPatch:
			tellOrigin(w, r, keeper, o)
		case http.MethodDelete:
			endOrigin(w, r, keeper, o)
		default:
			w.Header().Set("Allow", "GET, PUT, PATCH, DELETE")
			refuse(w, http.StatusMethodNotAllowed, "%s does not take %s: use GET, PUT, PATCH or DELETE", r.URL.Path, r.Method)
		}
	}
}

// getOrigin answers with what an origin has said, as PUT would take it.
func getOrigin(w http.ResponseWriter, r *http.Request, keeper OriginKeeper, o control.Origin) {
	a, words, ok := keeper.OriginWords(o)
	if !ok {
		refuseOrigin(w, control.ErrUnknown)
		return
	}
	w.Header().Set("ETag", a.Tag)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodHead {
		json.NewEncoder(w).Encode(wordsOf(a.Page.Hold, &words))
	}
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
	body, err := http.MaxBytesReader(w, r.Body, maxWords), error(nil)
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
		err = malformed{f}
	}
	if err != nil {
		refuseOrigin(w, err)
		return
	}
	w.Header().Set("ETag", a.Tag)
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answerOf(a))
}

func endOrigin(w http.ResponseWriter, r *http.Request, keeper OriginKeeper, o control.Origin) {
	if err := keeper.EndOrigin(o, precondition(r)); err != nil {
		refuseOrigin(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(map[string]string{"ended": string(o)})
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

// malformed is a Fault of a request as it is written; others are for what is there
// already.
type malformed struct{ *control.Fault }

// originError is errorBody with the place that the error is about, as a JSON pointer.
type originError struct {
	Error string `json:"error"`
	Place string `json:"place,omitempty"`
}

// refuseOrigin answers with an error for people.
func refuseOrigin(w http.ResponseWriter, err error) {
	status, is := http.StatusInternalServerError, originError{Error: err.Error()}
	var bad malformed
	var fault *control.Fault
	var long *http.MaxBytesError
	switch {
	case errors.As(err, &bad):
		status, is.Place = http.StatusBadRequest, bad.Place
	case errors.As(err, &fault):
		status, is.Place = http.StatusConflict, fault.Place
	case errors.As(err, &long):
		status = http.StatusRequestEntityTooLarge
		is.Error = "the request is longer than 16 MiB: say it in parts, the first by PUT, the others by PATCH"
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
