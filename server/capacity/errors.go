package capacity

// The reasons of a FullError.
const (
	ReasonRequests         = "places"          // the server has its maximum of requests in flight
	ReasonRequestsOfToken  = "token_places"    // this token has its maximum of requests in flight
	ReasonStreams          = "streams"         // the server has its maximum of streams
	ReasonStreamsOfToken   = "token_streams"   // this token has its maximum of streams
	ReasonTransfers        = "transfers"       // the server has its maximum of exports and imports
	ReasonTransfersOfToken = "token_transfers" // this token has its maximum of exports and imports
	ReasonMemory           = "bodies"          // all request bodies have their maximum of memory
	ReasonMemoryOfToken    = "token_bodies"    // the request bodies of this token have their maximum of memory
)

// FullError reports that the server has no capacity for the request now.
type FullError struct {
	Reason string

	text string
}

// Error implements error.
func (e *FullError) Error() string { return e.text }

var (
	errRequests         = &FullError{ReasonRequests, "too many requests in flight"}
	errRequestsOfToken  = &FullError{ReasonRequestsOfToken, "too many requests of this token in flight"}
	errStreams          = &FullError{ReasonStreams, "too many streams"}
	errStreamsOfToken   = &FullError{ReasonStreamsOfToken, "too many streams of this token"}
	errTransfers        = &FullError{ReasonTransfers, "too many exports and imports"}
	errTransfersOfToken = &FullError{ReasonTransfersOfToken, "too many exports and imports of this token"}
	errMemory           = &FullError{ReasonMemory, "too much memory in use for request bodies"}
	errMemoryOfToken    = &FullError{ReasonMemoryOfToken, "too much memory in use for request bodies of this token"}
)

// Reasons returns every reason.
func Reasons() []string {
	return []string{
		ReasonRequests, ReasonRequestsOfToken, ReasonStreams, ReasonStreamsOfToken, ReasonTransfers, ReasonTransfersOfToken,
		ReasonMemory, ReasonMemoryOfToken,
	}
}
