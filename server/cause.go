package server

import (
	"errors"

	"github.com/clientapps/clientapps/server/oidc"
	"github.com/clientapps/clientapps/store"
)

// Cause is why a valid request was refused with 503 or 429, in one word. The log has it as cause, and metrics count by it.
type Cause string

// The causes. Those of the database have the names of the store's reasons.
const (
	CausePlaces      Cause = "places"              // the server answers as many requests at once as it may
	CauseTokenPlaces Cause = "token_places"        // so many of them are this token's
	CauseBodies      Cause = "bodies"              // request bodies take as much memory as they may
	CauseTokenBodies Cause = "token_bodies"        // so much of it is for this token's
	CauseRate        Cause = "rate"                // the token has made too many requests for this client
	CauseProvider    Cause = oidc.ReasonProvider   // the identity provider cannot be asked, or too many wait for it
	CauseSignatures  Cause = oidc.ReasonSignatures // too many tokens of the identity provider wait for their signature to be checked
	CauseStopping    Cause = "stopping"            // the server shuts down
)

// databaseCause returns the store's reason, or the database as a whole.
func databaseCause(err error) Cause {
	if unavailable := (*store.UnavailableError)(nil); errors.As(err, &unavailable) {
		return Cause(unavailable.Reason())
	}
	return Cause(store.ReasonDatabase)
}

// causes lists every cause, so that each has a metric from the start.
func causes() []Cause {
	all := []Cause{
		CausePlaces, CauseTokenPlaces, CauseBodies, CauseTokenBodies, CauseRate, CauseProvider, CauseSignatures, CauseStopping,
	}
	for _, reason := range store.UnavailableReasons() {
		all = append(all, Cause(reason))
	}
	return all
}
