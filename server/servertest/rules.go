package servertest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Error is the body of every response that is neither 2xx nor 304 nor the redirection of /, unless the request asked for problem
// details.
type Error struct {
	Error struct {
		Code    string        `json:"code"`
		Message string        `json:"message"`
		Details *ErrorDetails `json:"details"`
	} `json:"error"`
}

// ErrorDetails is what an error is about.
type ErrorDetails struct {
	Field        string            `json:"field"`
	Reason       string            `json:"reason"`
	Errors       []json.RawMessage `json:"errors"`
	ClientID     string            `json:"client_id"`
	AppID        string            `json:"app_id"`
	CatalogAppID string            `json:"catalog_app_id"`
	VendorID     string            `json:"vendor_id"`
	CategoryID   string            `json:"category_id"`
	TokenID      string            `json:"token_id"`
	WebhookID    string            `json:"webhook_id"`
}

// codes has the error code of each status.
var codes = map[int]string{
	http.StatusBadRequest:                  "invalid_request",
	http.StatusUnauthorized:                "unauthorized",
	http.StatusForbidden:                   "forbidden",
	http.StatusNotFound:                    "not_found",
	http.StatusMethodNotAllowed:            "method_not_allowed",
	http.StatusNotAcceptable:               "not_acceptable",
	http.StatusConflict:                    "conflict",
	http.StatusGone:                        "cursor_expired",
	http.StatusPreconditionFailed:          "precondition_failed",
	http.StatusRequestEntityTooLarge:       "payload_too_large",
	http.StatusUnsupportedMediaType:        "unsupported_media_type",
	http.StatusTooManyRequests:             "rate_limited",
	http.StatusInternalServerError:         "internal_error",
	http.StatusServiceUnavailable:          "unavailable",
	http.StatusExpectationFailed:           "expectation_failed",
	http.StatusRequestHeaderFieldsTooLarge: "header_fields_too_large",
}

// requiredHeaders are the headers that a status requires.
var requiredHeaders = map[int]string{
	http.StatusUnauthorized:       "Www-Authenticate",
	http.StatusMethodNotAllowed:   "Allow",
	http.StatusTooManyRequests:    "Retry-After",
	http.StatusServiceUnavailable: "Retry-After",
}

var (
	requestID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)
	// quoted matches the parts of a message that come from the request, a header of HTTP, and what the columns of a file are called.
	quoted = regexp.MustCompile(`'.*'|^Content-Encoding |unknown column ".*"; known columns|the names of the columns|the column \w+`)
	// internalWords matches words of the implementation's languages and libraries, which no message may contain.
	internalWords = regexp.MustCompile(`(?i)sql|pgx|postgres|gorm|\bdatabase|driver|relation|\bcolumn|\btable|constraint|` +
		`goroutine|panic|runtime|nil pointer|\bgo\b|\.go\b|golang|github|strconv|unmarshal|marshal|encoding|interface|\bint\d*\b|` +
		`\bfloat|struct|map\[|%!|0x|echo|openapi|schema|additionalprop|oneof|allof|validat|\bregexp|\beof\b|` +
		`context|canceled|deadline|bind|uuid:|syntax|<nil>`)
)

// checkRules returns how a response violates the rules that hold for all responses on all paths.
func checkRules(request *http.Request, response *Response) []error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	ids := response.Header.Values("X-Request-Id")
	if len(ids) != 1 || !requestID.MatchString(ids[0]) {
		fail("X-Request-Id is %q", ids)
	} else if sent := request.Header.Get("X-Request-Id"); requestID.MatchString(sent) && ids[0] != sent {
		fail("X-Request-Id is %q, %q was sent", ids[0], sent)
	}
	if got := response.Header.Values("X-Content-Type-Options"); !slices.Equal(got, []string{"nosniff"}) {
		fail("X-Content-Type-Options is %q", got)
	}
	if response.Header.Get("Cache-Control") == "" {
		fail("Cache-Control is missing")
	}
	if name, ok := requiredHeaders[response.Status]; ok && response.Header.Get(name) == "" {
		fail("%s is missing", name)
	}
	bare := request.Method == http.MethodHead ||
		response.Status == http.StatusNoContent || response.Status == http.StatusNotModified
	if bare && response.Body != "" {
		fail("a body where there can be none")
	}
	media := response.Header.Get("Content-Type")
	if strings.HasPrefix(media, "text/html") && response.Header.Get("Referrer-Policy") != "no-referrer" {
		fail("Referrer-Policy of a page is %q", response.Header.Get("Referrer-Policy"))
	}
	if (media == "application/json" || media == problemType) && !bare && !json.Valid([]byte(response.Body)) {
		fail("the body is not one JSON text")
	}
	if response.Status < 300 || response.Status == http.StatusNotModified {
		return errs
	}
	if response.Status == http.StatusFound && response.Header.Get("Location") != "" && response.Body == "" {
		return errs
	}
	asked := strings.Contains(strings.ToLower(strings.Join(request.Header.Values("Accept"), ",")), problemType)
	if media != "application/json" && (media != problemType || !asked) || len(response.Header.Values("Content-Type")) > 1 {
		fail("Content-Type of an error is %q", response.Header.Values("Content-Type"))
	}
	if vary := strings.Split(strings.Join(response.Header.Values("Vary"), ", "), ", "); !slices.Contains(vary, "Accept") {
		fail("Vary of an error is %q", vary)
	}
	if bare {
		return errs
	}
	return append(errs, checkError(request, response)...)
}

func checkError(request *http.Request, response *Response) []error {
	var body Error
	var errs []error
	if response.Header.Get("Content-Type") == problemType {
		body, errs = checkProblem(response)
	} else if err := decodeExactly(response.Body, &body); err != nil {
		return []error{err}
	}
	read := request.Method == http.MethodGet || request.Method == http.MethodHead
	unknown := response.Status == http.StatusInternalServerError && body.Error.Code == "outcome_unknown" && !read
	if want := codes[response.Status]; !unknown && (body.Error.Code != want || want == "") {
		errs = append(errs, fmt.Errorf("code %q, want %q", body.Error.Code, want))
	}
	shown := []string{body.Error.Message}
	if d := body.Error.Details; d != nil {
		shown = append(shown, d.Reason)
		for _, raw := range d.Errors {
			var field struct{ Field, Pointer, Message string }
			if err := json.Unmarshal(raw, &field); err != nil {
				errs = append(errs, err)
			}
			shown = append(shown, field.Message)
		}
	}
	if body.Error.Message == "" {
		errs = append(errs, fmt.Errorf("no message"))
	}
	for _, text := range shown {
		if word := internalWords.FindString(quoted.ReplaceAllLiteralString(strings.ToValidUTF8(text, ""), "")); word != "" {
			errs = append(errs, fmt.Errorf("the message %q has the internal word %q", text, word))
		}
	}
	return errs
}

// decodeExactly decodes the body of an error. It refuses members that the type does not have.
func decodeExactly(body string, into any) error {
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("not the shape of an error: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("data behind the error")
	}
	return nil
}
