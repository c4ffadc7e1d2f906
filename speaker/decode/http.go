package decode

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"hkw/speaker"
)

// Limits of web media.
const (
	maxRedirects  = 5
	headerTimeout = 10 * time.Second
	stallTimeout  = 15 * time.Second
)

// Web configures OpenURL. The zero value works.
type Web struct {
	// DialContext makes every connection: for the first address, for redirects
	// and for what playlists name. nil is net.Dialer's, within Reach.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Reach says where media may not come from; nil lets it come from anywhere.
	// Addresses are judged after their names were resolved, so that no later lookup
	// can change what was judged. Not used with DialContext.
	Reach *Reach
	// UserAgent is sent with requests; "" is "hkw".
	UserAgent string
	// HeaderTimeout is how long a server may take from being called to the end
	// of its answer's header, at each redirect; 10 s if 0.
	HeaderTimeout time.Duration
	// StallTimeout is how long a server may send nothing that is waited for; 15 s if 0.
	StallTimeout time.Duration
	// FFmpeg is as in Options.
	FFmpeg string
}

// Reasons why web media end.
var (
	errSlowHeader = errors.New("the server did not answer in time")
	errStalled    = errors.New("the server sent nothing for too long")
	errCutOff     = errors.New("the connection ended early")
)

// OpenURL opens an http or https URL: a file, a radio stream, or a playlist that
// leads to one. The source can not be sought. Proxies of the environment are
// not used. Neither credentials nor the query of a URL appear in errors, which
// wrap speaker.ErrMedia.
func OpenURL(ctx context.Context, rawURL string, web Web) (speaker.Source, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, mediaError(ctx, "", err)
	}
	f := &fetcher{web: web, control: web.Reach.control(u), seen: map[string]bool{}}
	src, err := f.open(ctx, u, 0)
	if err != nil {
		return nil, mediaError(ctx, plainURL(u), err)
	}
	return src, nil
}

// plainURL is what of a URL may be told.
func plainURL(u *url.URL) string { return u.Scheme + "://" + u.Host + u.EscapedPath() }

// parseURL accepts the spaces that people leave in.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(strings.ReplaceAll(strings.TrimSpace(raw), " ", "%20"))
	if err != nil {
		return nil, errors.New("not a valid URL") // the parser's error repeats it
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("only http and https URLs are played, not %q", clipText(u.Scheme, 20))
	}
	if u.Hostname() == "" {
		return nil, errors.New("the URL names no host")
	}
	u.Fragment = ""
	return u, nil
}

func clipText(s string, n int) string { return s[:min(len(s), n)] }

// fetcher opens one URL and what it leads to.
type fetcher struct {
	web     Web
	control func(network, address string, c syscall.RawConn) error
	seen    map[string]bool // the playlists that led here
	tries   int
}

// open opens u, at that depth of playlists.
func (f *fetcher) open(ctx context.Context, u *url.URL, depth int) (speaker.Source, error) {
	if f.seen[u.String()] {
		return nil, errors.New("the playlist leads in a circle")
	}
	f.seen[u.String()] = true
	defer delete(f.seen, u.String())
	if f.tries++; f.tries > maxTries {
		return nil, errors.New("the playlist leads nowhere")
	}
	body, err := f.get(ctx, u)
	if err != nil {
		return nil, err
	}
	kind, last := body.header.Get("Content-Type"), body.url
	var r io.Reader = body
	title := func() string { return "" }
	if interval := body.header.Get("Icy-Metaint"); interval != "" {
		icy, err := newICY(body, interval)
		if err != nil {
			_ = body.Close()
			return nil, err
		}
		r, title = icy, icy.title
	}
	peeked := &peekedBody{Reader: r, Closer: body}
	if err := peeked.peek(); err != nil {
		_ = body.Close()
		return nil, err
	}
	if isPlaylist(kind, last.Path, peeked.head) {
		defer func() { _ = body.Close() }()
		return f.follow(ctx, last, peeked, depth)
	}
	if isHTML(peeked.head) {
		_ = body.Close()
		return nil, fmt.Errorf("%w: it is a web page", ErrUnknownFormat)
	}
	hint := kind
	if h := hintFormat(kind); h == "" {
		hint = path.Base(last.Path)
	}
	return Open(ctx, peeked, Options{Name: plainURL(last), Hint: hint, FFmpeg: f.web.FFmpeg, title: title})
}

// get requests u and follows redirects.
func (f *fetcher) get(ctx context.Context, u *url.URL) (*webBody, error) {
	dial := f.web.DialContext
	if dial == nil {
		dial = (&net.Dialer{Timeout: headerTimeout, Control: f.control}).DialContext
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &icyConn{Conn: c}, nil
		},
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}
	client := &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for hop := 0; ; hop++ {
		body, err := f.request(ctx, client, u)
		if err != nil {
			return nil, err
		}
		next, err := body.judge()
		if err == nil && next == nil {
			return body, nil
		}
		_ = body.Close()
		if err != nil {
			return nil, err
		}
		if hop == maxRedirects {
			return nil, fmt.Errorf("more than %d redirects", maxRedirects)
		}
		u = next
	}
}

// judge tells whether an answer holds what was asked for, or where else to ask.
func (b *webBody) judge() (next *url.URL, err error) {
	switch b.status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		next, err := b.url.Parse(b.header.Get("Location"))
		if err != nil || b.header.Get("Location") == "" {
			return nil, errors.New("a redirect to nowhere")
		}
		if next, err = parseURL(next.String()); err != nil {
			return nil, fmt.Errorf("a redirect: %w", err)
		}
		return next, nil
	case http.StatusOK:
	default:
		return nil, fmt.Errorf("the server answered %s", strings.TrimSpace(fmt.Sprint(b.status, " ", http.StatusText(b.status))))
	}
	if enc := b.header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, fmt.Errorf("the server sent it compressed (%q), unasked", clipText(enc, 20))
	}
	return nil, nil
}

// request makes one request.
func (f *fetcher) request(ctx context.Context, client *http.Client, u *url.URL) (*webBody, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		cancel(nil)
		return nil, errors.New("not a valid URL")
	}
	agent := f.web.UserAgent
	if agent == "" {
		agent = "hkw"
	}
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Accept", "*/*")
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("Icy-MetaData", "1")
	late := time.AfterFunc(orDefault(f.web.HeaderTimeout, headerTimeout), func() { cancel(errSlowHeader) })
	resp, err := client.Do(req)
	if !late.Stop() && err == nil {
		_ = resp.Body.Close()
		err = errSlowHeader
	}
	if err != nil {
		err = plainError(ctx, err)
		cancel(nil)
		return nil, err
	}
	return &webBody{
		ctx: ctx, cancel: cancel, url: u, status: resp.StatusCode, header: resp.Header, body: resp.Body,
		stall: orDefault(f.web.StallTimeout, stallTimeout),
	}, nil
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// plainError takes the URL out of an error of net/http.
func plainError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// webBody is an answer and its body. A server that stalls ends it.
type webBody struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	url    *url.URL
	status int
	header http.Header
	body   io.ReadCloser
	stall  time.Duration
	once   sync.Once
}

func (b *webBody) Read(p []byte) (int, error) {
	late := time.AfterFunc(b.stall, func() { b.cancel(errStalled) })
	n, err := b.body.Read(p)
	late.Stop()
	switch {
	case err == nil || errors.Is(err, io.EOF):
	case b.ctx.Err() != nil:
		err = context.Cause(b.ctx)
	case errors.Is(err, io.ErrUnexpectedEOF):
		err = errCutOff
	}
	return n, err
}

func (b *webBody) Close() error {
	b.once.Do(func() {
		b.cancel(context.Canceled)
		_ = b.body.Close() // what it says after the cancelling is no news
	})
	return nil
}

// peekedBody is a body of which the beginning was looked at.
type peekedBody struct {
	io.Reader
	io.Closer
	head []byte
}

func (b *peekedBody) peek() error {
	head := make([]byte, 512)
	n, err := io.ReadFull(b.Reader, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	b.head = head[:n]
	b.Reader = io.MultiReader(strings.NewReader(string(b.head)), b.Reader)
	return nil
}

// isHTML reports that what a server sent is a page about something else.
func isHTML(head []byte) bool {
	s := strings.ToLower(strings.TrimLeft(string(head), " \t\r\n\ufeff"))
	return strings.HasPrefix(s, "<!doctype") || strings.HasPrefix(s, "<html")
}
