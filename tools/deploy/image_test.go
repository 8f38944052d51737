package deploy

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// inImage is a script that starts a command as the image's user in a chroot that is read-only except for /data. $1 is the root,
// $2 is uid:gid, and the rest is the command. It needs root privileges, for mount and chroot.
const inImage = `root=$1 user=$2; shift 2
mount --bind "$root" "$root"
mount --bind "$root/data" "$root/data"
mount -o remount,ro,bind "$root"
cd "$root"
exec chroot --userspec="$user" "$root" "$@"`

// TestImage builds the image with buildImage and runs it as a container engine would, on SQLite.
func TestImage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	i, err := buildImage(t.Context(), "Dockerfile", "..", dir)
	if err != nil {
		t.Fatal(err)
	}
	if i.User != "65532:65532" || i.Shell || i.base != "scratch" || i.owners["/data"] != i.User {
		t.Errorf("the image is %+v", i)
	}
	if want := []string{"CMD", "/clientapps", "health"}; !slices.Equal(i.Health, want) {
		t.Errorf("the health check of the image is %q", i.Health)
	}
	wantFiles(t, i.Root, "/clientapps", "/etc/ssl/certs/ca-certificates.crt")
	wantStatic(t, filepath.Join(i.Root, "clientapps"))
	root := rootCommand(t)
	if out, err := exec.CommandContext(t.Context(), root[0], append(root[1:], "chown", "-R", i.User, filepath.Join(i.Root, "data"))...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	addr := freeAddr(t)
	env := append(slices.Clone(i.Env), "CLIENTAPPS_ADDR="+addr)
	start := func(args ...string) *exec.Cmd {
		words := slices.Concat(root, []string{"env", "-i", "PATH=" + os.Getenv("PATH")}, env,
			[]string{"unshare", "--mount", "sh", "-euc", inImage, "sh", i.Root, i.User}, args)
		return exec.CommandContext(t.Context(), words[0], words[1:]...)
	}
	server := start(i.Command...)
	var log strings.Builder
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	if !within(func() bool { return status(t, "http://"+addr+"/healthz") == http.StatusOK }) {
		_ = server.Process.Kill()
		_ = server.Wait()
		t.Fatalf("the image does not serve: %s", &log)
	}
	if got := status(t, "http://"+addr+"/readyz"); got != http.StatusOK {
		t.Errorf("/readyz answers %d", got)
	}
	if out, err := start(i.Health[1:]...).CombinedOutput(); err != nil || string(out) != "ok\n" {
		t.Errorf("the health check says %q, %v", out, err)
	}
	// Only /data is writable.
	if out, err := start("/clientapps", "migrate", "up", "--database-url", "sqlite:///elsewhere.db").CombinedOutput(); err == nil {
		t.Errorf("the root is writable: %s", out)
	}
}

// wantFiles checks that a root has exactly these files: no shell, for example.
func wantFiles(t *testing.T, root string, want ...string) {
	t.Helper()
	var got []string
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			got = append(got, strings.TrimPrefix(path, root))
		}
		return err
	})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("the image has %q (%v), want %q", got, err, want)
	}
}

// rootCommand returns the prefix of a command that needs root privileges.
func rootCommand(t *testing.T) []string {
	t.Helper()
	if os.Geteuid() == 0 {
		return []string{"env"}
	}
	return []string{"sudo", "-n", "--"}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// within polls until a condition is true, for at most 30 s, which is enough on a busy machine.
func within(condition func() bool) bool {
	for deadline := time.Now().Add(30 * time.Second); !condition(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// status gets a URL and returns the status, or 0 when there is no answer.
func status(t *testing.T, url string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}
