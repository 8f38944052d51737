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

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/capacity"
	"github.com/clientapps/clientapps/server/schemas"
	"github.com/clientapps/clientapps/server/validate"
)

// maxBody is the largest request body in bytes.
const maxBody = 1 << 20

const (
	headerContentType = "Content-Type"
	mediaTypeJSON     = "application/json"
)

// smallBody is the length in bytes up to which the memory of bodies is not counted: the number of requests bounds it.
const smallBody = 1 << 10

// memoryFor returns the bytes to reserve before the request body is read. A body without Content-Length may have the largest
// size. A body that is too large is not read.
func (op *operation) memoryFor(r *http.Request) int64 {
	switch {
	case op.body == nil || r.ContentLength > maxBody || 0 <= r.ContentLength && r.ContentLength <= smallBody:
		return 0
	case r.ContentLength < 0:
		return maxBodyMemory(maxBody)
	}
	return maxBodyMemory(r.ContentLength)
}

// maxBodyMemory returns the most bytes that a body of this length may need.
func maxBodyMemory(length int64) int64 { return capacity.MaxBodyMemory(length, schemas.MaxNodes) }

// acceptPatch returns the media types of the request body, as the value of Accept-Patch (RFC 5789, 3.1).
func (op *operation) acceptPatch() string { return strings.Join(op.requestTypes, ", ") }

// readBody reads the request body and checks its size and media type (413, 415), but not its content. A file is left to the handler.
func (op *operation) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if op.body == nil && !op.upload {
		return nil, nil
	}
	if r.ContentLength > op.maxBody() {
		return nil, errTooLarge(op.maxBody())
	}
	if len(r.Header[headerContentType]) > 1 {
		return nil, errRepeatedHeader(headerContentType)
	}
	contentType := r.Header.Get(headerContentType)
	if (op.upload || contentType != "" && contentType != mediaTypeJSON) && !op.supportsType(contentType) {
		return nil, op.errMediaType()
	}
	if codings := r.Header["Content-Encoding"]; codings != nil && !isIdentity(codings) {
		return nil, op.errEncoding()
	}
	if op.upload {
		return nil, nil
	}
	body, err := readAll(w, r)
	if err != nil {
		return nil, errUnreadableBody(err)
	}
	if contentType == "" && len(body) > 0 {
		return nil, op.errMediaType()
	}
	// The generated code selects the body by its media type: give it one spelling.
	if contentType != mediaTypeJSON {
		r.Header.Set(headerContentType, mediaTypeJSON)
	}
	return body, nil
}

// maxBody is the largest request body of the operation in bytes.
func (op *operation) maxBody() int64 {
	if op.upload {
		return maxFile
	}
	return maxBody
}

// errUnreadableBody is the error for a body that could not be read from the connection.
func errUnreadableBody(err error) *Error {
	tooLarge := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &tooLarge):
		return errTooLarge(tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return invalidRequest("Request body did not arrive in time", nil)
	}
	return invalidRequest("Request body could not be read", nil)
}

// readAll reads a body. A body with Content-Length is read into a single allocation.
func readAll(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength <= 0 {
		return io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	}
	whole := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, whole)
	return whole, err
}

// supportsType reports whether the operation accepts this media type, with any parameters and in any letter case.
func (op *operation) supportsType(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return (err == nil || errors.Is(err, mime.ErrInvalidMediaParameter)) && slices.Contains(op.requestTypes, media)
}

// isIdentity reports whether a body has no content coding. RFC 9110, 8.4.1 reserves "identity" for Accept-Encoding, but clients
// send it.
func isIdentity(codings []string) bool {
	for coding := range strings.SplitSeq(strings.Join(codings, ","), ",") {
		if coding = strings.TrimSpace(coding); coding != "" && !strings.EqualFold(coding, "identity") {
			return false
		}
	}
	return true
}

func errRepeatedHeader(header string) *Error {
	return invalidRequest(header+" must be given once", &gen.ErrorDetails{Field: &header})
}

// errEncoding lists the supported content codings in Accept-Encoding (RFC 9110, 15.5.16).
func (op *operation) errEncoding() *Error {
	e := op.errUnsupported("Content-Encoding must be identity")
	e.Header.Set("Accept-Encoding", "identity")
	return e
}

func errTooLarge(limit int64) *Error {
	return &Error{
		Status: http.StatusRequestEntityTooLarge, Code: gen.ErrorCodePayloadTooLarge,
		Message: fmt.Sprintf("Request body must not be larger than %d bytes", limit),
	}
}

func (op *operation) errMediaType() *Error {
	return op.errUnsupported("Content-Type must be " + strings.Join(op.requestTypes, " or "))
}

func (op *operation) errUnsupported(message string) *Error {
	e := &Error{
		Status: http.StatusUnsupportedMediaType, Code: gen.ErrorCodeUnsupportedMediaType, Message: message, Header: http.Header{},
	}
	if op.method == http.MethodPatch {
		e.Header.Set("Accept-Patch", op.acceptPatch())
	}
	return e
}

// checkBody validates the body against its schema and replaces r.Body with the decoded value, for the binder. It returns the
// number of decoded values and names.
func (op *operation) checkBody(r *http.Request, text []byte) (nodes int, err error) {
	if op.body == nil {
		return 0, nil
	}
	if len(text) == 0 && op.bodyOptional {
		text = []byte("{}")
	}
	target, nodes, err := op.body.Decode(text)
	if err != nil {
		return 0, op.bodyError(err)
	}
	state := requestStateOf(r.Context())
	state.body.target = target
	r.Body = &state.body
	return nodes, nil
}

// bodyError converts the errors of Body.Decode. For a single bad value it leaves out the details if the reference page of the
// operation does.
func (op *operation) bodyError(err error) error {
	var found validate.FieldErrors
	if !errors.As(err, &found) {
		e := invalidRequest("Request body "+err.Error(), nil)
		e.err = errors.Unwrap(err)
		return e
	}
	first := found[0]
	if len(found) == 1 && first.Writable && op.omitDetails {
		return invalidRequest(first.Message, nil)
	}
	details := &gen.ErrorDetails{Field: &first.Field}
	if first.Reason != "" {
		details.Reason = &first.Reason
	}
	if len(found) > 1 || op.body.Nested() {
		all := make([]gen.FieldError, len(found))
		for i, v := range found {
			all[i] = gen.FieldError{Field: v.Field, Pointer: v.Pointer, Message: v.Message}
		}
		details.Errors = &all
	}
	return invalidRequest(first.Message, details)
}

// decodedBody is a request body that was read, decoded and validated.
type decodedBody struct{ target any }

func (*decodedBody) Read([]byte) (int, error) { return 0, io.EOF }

func (*decodedBody) Close() error { return nil }
