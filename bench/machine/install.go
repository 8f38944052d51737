package machine

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
)

// Need installs a package with apt-get if the program is missing, and logs that.
func Need(ctx context.Context, program, pack string) error {
	if _, err := exec.LookPath(program); err == nil {
		return nil
	}
	return install(ctx, program, pack)
}

// NeedPostgres installs PostgreSQL if it is missing.
func NeedPostgres(ctx context.Context) error {
	if _, _, err := FindPostgres(ctx); err == nil {
		return nil
	}
	return install(ctx, "PostgreSQL", "postgresql")
}

func install(ctx context.Context, what, pack string) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("%s is needed: install the package %s", what, pack)
	}
	slog.Info("installing a package that is missing", "package", pack)
	prefix := []string{}
	if os.Geteuid() != 0 {
		prefix = append(prefix, "sudo")
	}
	for _, words := range [][]string{
		{"apt-get", "update", "-qq"},
		{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-qq", "-y", "--no-install-recommends", pack},
	} {
		words = append(prefix, words...)
		cmd := exec.CommandContext(ctx, words[0], words[1:]...) //nolint:gosec // constant arguments
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("install %s: %w", pack, err)
		}
	}
	return nil
}
