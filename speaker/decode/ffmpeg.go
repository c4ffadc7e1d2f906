package decode

import (
	"context"
)

func newFFmpeg(ctx context.Context, in *input, f *foreignError, program string) (decoder, error) {
	return nil, errNoFFmpeg(f.codec)
}
