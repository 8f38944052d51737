package schemas

import (
	"fmt"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/clientapps/clientapps/gen"
)

var readContract = sync.OnceValues(gen.GetSpec)

// Contract returns the embedded contract. It is parsed once, since parsing takes longer than most commands. All callers share it: do
// not change it.
func Contract() (*openapi3.T, error) {
	doc, err := readContract()
	if err != nil {
		return nil, fmt.Errorf("read contract: %w", err)
	}
	return doc, nil
}
