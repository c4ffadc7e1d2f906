// Package decode turns bytes into sound: it finds out what a file or a stream
// holds, decodes it and delivers 48 kHz stereo, whatever rate and channels it
// came in. WAV, MP3, FLAC and Ogg Vorbis are decoded here; what else ffmpeg can
// read is decoded by ffmpeg, if it is installed.
//
// Input is not trusted. A decoder that panics ends its own playback with an
// error; nothing is allocated because a header says so; every loop consumes
// input. All errors wrap speaker.ErrMedia.
package decode
