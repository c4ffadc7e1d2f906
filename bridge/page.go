package bridge

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"
)

// The page at / is plain HTML, CSS and JavaScript as a browser takes them. It
// speaks the interface that everybody has: POST for commands and the stream of
// events for what is true. It begins in page/page.js.
//
//go:embed page
var pageFiles embed.FS

const (
	pageIndex = "index.html"
	busPath   = "/page/bus.json"
)

// pageFile is one file of the page.
type pageFile struct {
	data  []byte
	etag  string
	ctype string
}

// page is every file of the page, by its path in an address.
var page = readPage()

func readPage() map[string]pageFile {
	files := map[string]pageFile{}
	entries, _ := fs.ReadDir(pageFiles, "page") // embedded: it is there
	for _, e := range entries {
		data, _ := pageFiles.ReadFile("page/" + e.Name())
		sum := sha256.Sum256(data)
		address := "/page/" + e.Name()
		if e.Name() == pageIndex {
			address = "/"
		}
		// Not what the system's tables say of an extension: those differ.
		ctype := map[string]string{".html": "text/html", ".css": "text/css", ".js": "text/javascript"}[path.Ext(e.Name())]
		files[address] = pageFile{data, `"` + hex.EncodeToString(sum[:12]) + `"`, mime.FormatMediaType(ctype, map[string]string{"charset": "utf-8"})}
	}
	return files
}

// isPage tells whether a request reads a file of the page.
func isPage(r *http.Request) bool {
	_, ok := page[r.URL.Path]
	return ok && (r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// pagePolicy lets the page use what it brought along and nothing else. Only pages
// that may call as well may show it inside them, a dashboard for one: whoever can
// lay something over its buttons can have them pressed.
func (g Guard) pagePolicy() string {
	return "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors " + strings.Join(append([]string{"'self'"}, g.Origins...), " ")
}

func (s *server) page(w http.ResponseWriter, r *http.Request) {
	f, ok := page[r.URL.Path]
	if !ok {
		refuse(w, http.StatusNotFound, UnknownCommand, "the page has no such part")
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.ctype)
	h.Set("Content-Security-Policy", s.cfg.Guard.pagePolicy())
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.data))
}

// BusAddress is how another program reaches the bus, for the lines that the page
// offers to paste. It holds no password.
type BusAddress struct {
	Host string `json:"host,omitempty"` // "" for the machine that the page comes from
	Port int    `json:"port,omitempty"` // 0 for the usual one
	User string `json:"user,omitempty"`
	TLS  bool   `json:"tls,omitempty"`
}

func (s *server) bus(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, marshal(s.cfg.Bus))
}
