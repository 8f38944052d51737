package server_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestMain also checks that the tests together produced every status that the contract documents.
func TestMain(m *testing.M) {
	code := storetest.Main(m)
	if servertest.AllTestsSelected() {
		missing, err := servertest.MissingResponses()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		for _, answer := range missing {
			fmt.Fprintln(os.Stderr, "the contract documents an answer that no test produced:", answer)
			code = 1
		}
	}
	os.Exit(code)
}
