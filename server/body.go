package server

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/strictjson"
)

// maxBody is the largest request body in bytes.
const maxBody = 1 << 20

// maxNodes is how many values and names a request body may have: twenty times what a thousand ids need.
const maxNodes = 20_000

// acceptPatch is what Accept-Patch says (RFC 5789, 3.1), on every path that has PATCH.
const acceptPatch = "application/json, application/merge-patch+json"

// readBody reads the request body and its media type: 413 and 415. What the body says is not looked at yet.
func (op *operation) readBody(c echo.Context) ([]byte, error) {
	if op.body == nil {
		return nil, nil
	}
	r := c.Request()
	if r.ContentLength > maxBody {
		return nil, errTooLarge()
	}
	if len(r.Header[echo.HeaderContentType]) > 1 {
		return nil, errTwice(echo.HeaderContentType)
	}
	given := r.Header.Get(echo.HeaderContentType)
	if given != "" && given != echo.MIMEApplicationJSON && !op.takes(given) {
		return nil, op.errMediaType()
	}
	if coded := r.Header[echo.HeaderContentEncoding]; coded != nil && !identity(coded) {
		return nil, op.errEncoding()
	}
	body, err := readAll(c.Response(), r)
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, errTooLarge()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, invalidRequest("Request body did not arrive in time", nil)
	}
	if err != nil {
		return nil, invalidRequest("Request body could not be read", nil)
	}
	if given == "" && len(body) > 0 {
		return nil, op.errMediaType()
	}
	// One type from here on: the generated code picks the body by it.
	if given != echo.MIMEApplicationJSON {
		r.Header.Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	}
	return body, nil
}

// readAll reads a body, of a known length into one allocation.
func readAll(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength <= 0 {
		return io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	}
	whole := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, whole)
	return whole, err
}

// takes says whether the operation's body may have this type: with any parameters and in any letter case.
func (op *operation) takes(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter)) && slices.Contains(op.mediaTypes, media)
}

// identity says whether a body is sent as it is: what RFC 9110, 8.4.1 has no coding for, "identity" stands for.
func identity(codings []string) bool {
	for coding := range strings.SplitSeq(strings.Join(codings, ","), ",") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return false
		}
	}
	return true
}

func errTwice(header string) *Error {
	return invalidRequest(header+" must be given once", &gen.ErrorDetails{Field: &header})
}

// errEncoding names the codings that a body may have in Accept-Encoding (RFC 9110, 15.5.16).
func (op *operation) errEncoding() *Error {
	e := op.errUnsupported("Content-Encoding must be identity")
	e.Header.Set(echo.HeaderAcceptEncoding, "identity")
	return e
}

func errTooLarge() *Error {
	return &Error{
		Status: http.StatusRequestEntityTooLarge, Code: gen.ErrorCodePayloadTooLarge,
		Message: fmt.Sprintf("Request body must not be larger than %d bytes", maxBody),
	}
}

func (op *operation) errMediaType() *Error {
	return op.errUnsupported("Content-Type must be " + strings.Join(op.mediaTypes, " or "))
}

func (op *operation) errUnsupported(message string) *Error {
	e := &Error{
		Status: http.StatusUnsupportedMediaType, Code: gen.ErrorCodeUnsupportedMediaType, Message: message, Header: http.Header{},
	}
	if op.method == http.MethodPatch {
		e.Header.Set("Accept-Patch", acceptPatch)
	}
	return e
}

// checkBody holds the body to its schema and puts what it decoded in the body's place, for the generated code to bind. It
// returns how many values and names were decoded.
func (op *operation) checkBody(c echo.Context, body []byte) (nodes int, err error) {
	if op.body == nil {
		return 0, nil
	}
	if op.fast {
		if fields, ok := scanAppPatch(body); ok {
			exchangeOf(c.Request().Context()).patch = fields
			c.Request().Body = validatedBody{} // binds to an empty patch, which nobody looks at
			return len(fields), nil
		}
	}
	doc, err := strictjson.Parse(body, strictjson.Options{MaxNodes: maxNodes, Keep: op.takesField})
	if err != nil {
		return 0, invalidRequest("Request body "+err.Error(), nil)
	}
	if doc.Dropped {
		return 0, op.violations(doc, nil)
	}
	if err := visit(op.body, doc.Value); err != nil {
		return 0, op.violations(doc, err)
	}
	c.Request().Body = validatedBody{value: doc.Value}
	return doc.Nodes, nil
}

// takesField reports whether the body may have this field. The value of any other is not looked at.
func (op *operation) takesField(name string) bool {
	_, readOnly := op.readOnly[name]
	return op.body.Properties[name] != nil && !readOnly
}

// validatedBody is a request body that was read, decoded and validated. The generated code asks for the value.
type validatedBody struct{ value any }

func (b validatedBody) ValidatedValue() any { return b.value }

func (b validatedBody) Read([]byte) (int, error) { return 0, io.EOF }

func (b validatedBody) Close() error { return nil }
