package servertest

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/clientapps/clientapps/server/schemas"
)

var observed = struct {
	sync.Mutex
	responses map[string]bool
}{responses: map[string]bool{}}

func record(operationID string, status int) {
	observed.Lock()
	defer observed.Unlock()
	observed.responses[responseKey(operationID, strconv.Itoa(status))] = true
}

func responseKey(operationID, status string) string { return fmt.Sprintf("%s %s", operationID, status) }

// MissingResponses returns each operation of the contract with each documented status that no response had so far.
func MissingResponses() ([]string, error) {
	doc, err := schemas.Contract()
	if err != nil {
		return nil, err
	}
	observed.Lock()
	defer observed.Unlock()
	missing := map[string]bool{}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for status := range op.Responses.Map() {
				if a := responseKey(op.OperationID, status); !observed.responses[a] {
					missing[a] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(missing)), nil
}

// AllTestsSelected reports whether the command line selects all tests of the package. Call it after the flags are parsed.
func AllTestsSelected() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.fuzz"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			return false
		}
	}
	return true
}
