package store_test

import (
	"os"
	"testing"

	"github.com/clientapps/clientapps/store/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }
