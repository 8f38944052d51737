package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/clientapps/clientapps/server"
	"github.com/clientapps/clientapps/store/storetest"
)

// writeCertificate puts a new certificate for 127.0.0.1 into the two files and returns it.
func writeCertificate(t *testing.T, serial int64, certFile, keyFile string) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writePEM(t, certFile, "CERTIFICATE", der)
	writePEM(t, keyFile, "PRIVATE KEY", secret)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func writePEM(t *testing.T, file, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tlsServer is a server with TLS.
type tlsServer struct {
	*running

	certFile, keyFile string
}

func runTLS(t *testing.T) (tlsServer, *x509.Certificate) {
	t.Helper()
	dir := t.TempDir()
	s := tlsServer{certFile: filepath.Join(dir, "cert.pem"), keyFile: filepath.Join(dir, "key.pem")}
	cert := writeCertificate(t, 1, s.certFile, s.keyFile)
	s.running = run(t, time.Minute, func(c *server.Config) { c.CertFile, c.KeyFile = s.certFile, s.keyFile })
	return s, cert
}

// send sends a request over a new connection to the server with this certificate, and closes the response body.
func (s tlsServer) send(t *testing.T, cert *x509.Certificate, change func(*tls.Config)) (*http.Response, error) {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AddCert(cert)
	change(config)
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: config.NextProtos == nil}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.addr+appPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.Token)
	response, err := transport.RoundTrip(request)
	if err == nil {
		_ = response.Body.Close()
	}
	return response, err
}

func unchanged(*tls.Config) {}

// With a certificate the server speaks TLS 1.2 and newer, including HTTP/2, and sends HSTS.
func TestTLS(t *testing.T) {
	t.Parallel()
	s, cert := runTLS(t)
	for name, want := range map[string]struct {
		change  func(*tls.Config)
		version int // the HTTP version; 0: the handshake fails
	}{
		"HTTP/2":   {unchanged, 2},
		"HTTP/1.1": {func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }, 1},
		"TLS 1.3":  {func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }, 2},
		"TLS 1.2":  {func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }, 2},
		"TLS 1.1":  {func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, 0},
	} {
		response, err := s.send(t, cert, want.change) //nolint:bodyclose // send has closed it
		if want.version == 0 {
			if err == nil {
				t.Errorf("%s is served", name)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if response.StatusCode != http.StatusOK || response.ProtoMajor != want.version ||
			response.Header.Get("Strict-Transport-Security") != "max-age=31536000" {
			t.Errorf("%s: %d %s %v", name, response.StatusCode, response.Proto, response.Header)
		}
	}
	if got := s.Get(t, appPath); got.Header["Strict-Transport-Security"] != nil {
		t.Errorf("over plain HTTP: %v", got.Header)
	}
}

// A new certificate is loaded when both of its files are there. Until then the old one stays in use.
func TestCertificateIsReloaded(t *testing.T) {
	t.Parallel()
	s, old := runTLS(t)
	expect := func(cert *x509.Certificate) {
		t.Helper()
		s.Server.Clock.Advance(time.Second)
		response, err := s.send(t, cert, unchanged) //nolint:bodyclose // send has closed it
		if err != nil {
			t.Fatal(err)
		}
		if got := response.TLS.PeerCertificates[0].SerialNumber; got.Cmp(cert.SerialNumber) != 0 {
			t.Errorf("certificate %v, want %v", got, cert.SerialNumber)
		}
	}
	expect(old)
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	renewed := writeCertificate(t, 2, certFile, keyFile)
	if err := os.Rename(certFile, s.certFile); err != nil {
		t.Fatal(err)
	}
	expect(old) // the key of the new certificate is not there yet
	if err := os.Rename(keyFile, s.keyFile); err != nil {
		t.Fatal(err)
	}
	expect(renewed)
	for _, breakFiles := range []func() error{
		func() error { return os.WriteFile(s.certFile, []byte("no certificate"), 0o600) },
		func() error { return os.Remove(s.certFile) },
		func() error { return os.Remove(s.keyFile) },
	} {
		if err := breakFiles(); err != nil {
			t.Fatal(err)
		}
		expect(renewed)
	}
	expect(writeCertificate(t, 3, s.certFile, s.keyFile))
	failures, reloads := 0, 0
	for _, line := range s.Log.Lines(t) {
		switch line["msg"] {
		case "the new certificate is not used, the old one stays":
			failures++
		case "a new certificate is used":
			reloads++
		}
	}
	if failures != 4 || reloads != 2 {
		t.Errorf("the log has %d failures and %d new certificates", failures, reloads)
	}
}

// A server with an unusable certificate does not start.
func TestBadCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile, otherKey := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "other.pem")
	writeCertificate(t, 1, filepath.Join(dir, "x"), otherKey)
	writeCertificate(t, 1, certFile, keyFile)
	s := storetest.Open(t, storetest.SQLite(t))
	for _, files := range [][2]string{{certFile, ""}, {"", keyFile}, {certFile, otherKey}, {keyFile, certFile}, {certFile + "x", keyFile}} {
		if _, err := server.New(server.Config{Store: s, Logger: slog.New(slog.DiscardHandler), CertFile: files[0], KeyFile: files[1]}); err == nil {
			t.Errorf("started with %v", files)
		}
	}
}
