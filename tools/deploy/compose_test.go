package deploy

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	core "k8s.io/api/core/v1"
)

// loadCompose reads the file as docker compose does: schema, merges, variables, and what services refer to.
func loadCompose(t *testing.T, env ...string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{"compose.yaml"}, cli.WithEnv(env))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

func TestCompose(t *testing.T) {
	t.Parallel()
	project, err := loadCompose(t, "POSTGRES_PASSWORD=0123abcd")
	if err != nil {
		t.Fatal(err)
	}
	database, migrate, server := project.Services["database"], project.Services["migrate"], project.Services["server"]
	if database.HealthCheck == nil || len(database.Ports) > 0 {
		t.Error("the database has no health check, or publishes a port")
	}
	if migrate.DependsOn["database"].Condition != types.ServiceConditionHealthy || migrate.Restart != "no" ||
		server.DependsOn["migrate"].Condition != types.ServiceConditionCompletedSuccessfully {
		t.Error("the order is not database, migrate, server")
	}
	for _, s := range []types.ServiceConfig{migrate, server} {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || s.Privileged {
			t.Errorf("%s is not hardened", s.Name)
		}
		if limit := s.Environment["GOMEMLIMIT"]; limit == nil {
			t.Errorf("%s has no GOMEMLIMIT", s.Name)
		} else {
			wantMemory(t, s.Name, *limit, int64(s.MemLimit), s.Name == "server")
		}
		var env []core.EnvVar
		for name, value := range s.Environment {
			if name == "CLIENTAPPS_DATABASE_URL" {
				if code, out := exitCode(t, []string{name + "=" + *value, "CLIENTAPPS_ADDR=nowhere"}, "serve"); code != 2 || regexp.MustCompile("DATABASE_URL").MatchString(out) {
					t.Errorf("the server refuses %s: %s", *value, out)
				}
				env = append(env, core.EnvVar{Name: name})
			}
		}
		wantStarts(t, s.Command, env)
	}
	drain := duration(t, server.Command, "--drain-delay=")
	if server.StopGracePeriod == nil || server.StopGracePeriod.String() != "20s" || drain.Seconds()+10 >= 20 {
		t.Errorf("killed after %v", server.StopGracePeriod)
	}
	for _, port := range server.Ports {
		if port.HostIP != "127.0.0.1" {
			t.Errorf("port %s is reachable from other machines, without TLS", port.Published)
		}
	}
}

// The file contains no default password, and nothing starts without one.
func TestComposeHasNoPassword(t *testing.T) {
	t.Parallel()
	if _, err := loadCompose(t); err == nil {
		t.Error("loads without a password")
	}
	text, err := os.ReadFile("compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`PASSWORD: (.*)|clientapps:([^@]*)@`).FindAllStringSubmatch(string(text), -1) {
		if value := found[1] + found[2]; !strings.HasPrefix(value, "${POSTGRES_PASSWORD:?") {
			t.Errorf("a password: %s", found[0])
		}
	}
}
