//go:build citus

package server_test

import (
	"testing"

	"github.com/clientapps/clientapps/server/servertest"
	"github.com/clientapps/clientapps/store/storetest"
)

// TestCitusWorkerServes runs with make test-citus only.
func TestCitusWorkerServes(t *testing.T) {
	t.Parallel()
	servesEveryOperation(t, servertest.New(t, storetest.Workers(storetest.Postgres(t))[1]))
}
