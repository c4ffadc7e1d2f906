package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hkw/broker"
)

// guarded is a broker of a house that knows its people.
type guarded struct{ permissive }

// Connect lets one user in.
func (guarded) Connect(c broker.Client) (string, bool) {
	return c.Username, c.Username == "hub" && string(c.Password) == "hunter2"
}

// certificate makes one for this machine, and a file with its authority.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// A broker that is reached by TLS and wants credentials: hub and commands find
// their way in, and nothing that they print holds the password.
func TestTLSAndCredentials(t *testing.T) {
	cert, ca := certificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	runBroker(t, l, guarded{})
	url := "tls://" + l.Addr().String()
	env := append(emptyEnv(t), "HKW_BROKER="+url, "HKW_BROKER_USER=hub", "HKW_BROKER_PASSWORD=hunter2", "HKW_BROKER_CA="+ca)
	b := launch(t, &program{env: env, terminal: true}, "serve", "--http-listen", "127.0.0.1:0", "--speaker", "a=null", "--log-level", "trace")
	_, port, _ := net.SplitHostPort(l.Addr().String())
	b.stdout.waitFor(t, "MQTT      "+url+"\n", "mosquitto_pub -h 127.0.0.1 -p "+port+" -u hub -P … --cafile "+ca+" -t hkw/home/play -m chime")
	if code, _, stderr := command(t, env, "play", "tick", "--wait"); code != 0 {
		t.Errorf("%d %s", code, stderr)
	}
	tests := []struct {
		name string
		env  environment
		want string
	}{
		{"wrong password", append(emptyEnv(t), "HKW_BROKER=tls://hub:hunter3@"+l.Addr().String(), "HKW_BROKER_CA="+ca), "not Authorized"},
		{"unknown authority", append(emptyEnv(t), "HKW_BROKER="+url, "HKW_BROKER_USER=hub", "HKW_BROKER_PASSWORD=hunter2"), "certificate"},
		{"not by TLS", append(emptyEnv(t), "HKW_BROKER=tcp://"+l.Addr().String()), "cannot reach"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, _, stderr := command(t, tt.env, "stop")
			if code != int(exitNoAnswer) || !strings.Contains(stderr, tt.want) || strings.Contains(stderr, "hunter") {
				t.Errorf("%d %q", code, stderr)
			}
		})
	}
	b.stop()
	if strings.Contains(b.stdout.String()+b.stderr.String(), "hunter") {
		t.Error("shows the password")
	}
}
