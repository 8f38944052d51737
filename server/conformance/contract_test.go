package conformance

import (
	"os"
	"slices"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// file is the contract as it is published, not the copy embedded in the server.
const file = "../../openapi.yaml"

// TestContract sends the requests that the contract implies for each operation.
func TestContract(t *testing.T) {
	t.Parallel()
	operations, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	servertest.Each(t, func(t *testing.T, s *servertest.Server) {
		f := newFixture(t, s, operations)
		sent := 0
		for _, op := range operations {
			t.Run(op.ID, func(t *testing.T) { sent += f.sendCases(t, op) })
			if op.ID == "updateClient" { // which has suspended the client that the other operations write to
				f.Patch(t, "/v2/clients/"+storetest.ClientID.String(), `{"status":"active"}`)
			}
		}
		t.Logf("%d requests", sent)
	})
}

// sendCases first sends the requests that must be refused and checks that they wrote nothing. Then it sends the valid ones, and checks
// what all operations of this kind promise.
func (f *fixture) sendCases(t *testing.T, op *Operation) int {
	t.Helper()
	b := f.base(t, op)
	var refusals, others []Case
	for _, make := range []func(Base) []Case{Unauthorized, Methods, MediaTypes, Parameters, Bodies, Items} {
		for _, c := range make(b) {
			if slices.Min(c.Want.Status) >= 400 {
				refusals = append(refusals, c)
			} else {
				others = append(others, c)
			}
		}
	}
	before := f.content(t)
	for _, c := range refusals {
		f.send(t, op, c)
	}
	if after := f.content(t); after != before {
		t.Errorf("%s: a refusal wrote:\n%s\nbefore:\n%s", op.ID, after, before)
	}
	if op.Success == 201 { // which leave nothing behind that is in the way
		f.checkInvariants(t, op)
		f.checkDryRun(t, op)
	} else {
		f.checkDryRun(t, op)
		f.checkInvariants(t, op)
	}
	for _, c := range others {
		f.sendWithDryRun(t, op, c)
	}
	return len(refusals) + len(others)
}
