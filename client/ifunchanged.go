package client

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// ErrNoETag is the error of a write with IfUnchanged of an answer without a strong entity tag, such as a list or a token. It is not sent.
var ErrNoETag = errors.New("the answer that was read has no strong entity tag")

// IfUnchanged makes a write depend on what was read, when it is the last argument of its method: if the object has changed since, the write
// is refused with precondition_failed. read is the HTTPResponse of any answer with the object, also that of an earlier write.
//
//	read, err := c.GetAppWithResponse(ctx, clientID, appID, nil)
//	…
//	c.UpdateAppWithResponse(ctx, clientID, appID, nil, patch, client.IfUnchanged(read.HTTPResponse))
func IfUnchanged(read *http.Response) RequestEditorFn {
	return func(_ context.Context, r *http.Request) error {
		if read == nil || read.Header.Get("ETag") == "" || strings.HasPrefix(read.Header.Get("ETag"), "W/") {
			return ErrNoETag
		}
		r.Header.Set("If-Match", read.Header.Get("ETag"))
		return nil
	}
}

// maxAttempts of ReadModifyWrite. Each but the last has failed because somebody else's write succeeded.
const maxAttempts = 20

// ReadModifyWrite calls attempt, which reads an object and writes it with IfUnchanged, until no other write has come in between. It gives up
// after twenty attempts, with precondition_failed, and after any other error.
func ReadModifyWrite[T any](attempt func() (T, error)) (T, error) {
	for n := 1; ; n++ {
		written, err := attempt()
		if refused := (*StatusError)(nil); n == maxAttempts || !errors.As(err, &refused) || refused.Code != ErrorCodePreconditionFailed {
			return written, err
		}
	}
}
