package capacity

// The reasons of a FullError.
const (
	ReasonRequests        = "places"       // as many requests are served at once as may be
	ReasonRequestsOfToken = "token_places" // so many of them are of this token
	ReasonMemory          = "bodies"       // request bodies take as much memory as they may
	ReasonMemoryOfToken   = "token_bodies" // so much of it is for bodies of this token
)

// FullError says that there is no capacity for a request now.
type FullError struct {
	Reason string

	text string
}

// Error implements error.
func (e *FullError) Error() string { return e.text }

var (
	errRequests        = &FullError{ReasonRequests, "too many requests in flight"}
	errRequestsOfToken = &FullError{ReasonRequestsOfToken, "too many requests of this token in flight"}
	errMemory          = &FullError{ReasonMemory, "too much memory in use for request bodies"}
	errMemoryOfToken   = &FullError{ReasonMemoryOfToken, "too much memory in use for request bodies of this token"}
)

// Reasons lists every reason.
func Reasons() []string {
	return []string{ReasonRequests, ReasonRequestsOfToken, ReasonMemory, ReasonMemoryOfToken}
}
