"use strict";
// Recordings and formats that soundfile cannot read (webm, m4a, mp4) are decoded here and sent as
// 16-bit mono WAV at 16 kHz, the form to which the models convert any file.

const RATE = 16000;

// Magic bytes of formats that soundfile reads, with their offsets.
const READABLE = [
  [0, "RIFF"], [0, "RF64"], [0, "fLaC"], [0, "OggS"], [0, "ID3"], [0, "FORM"], [0, ".snd"], [0, "caff"], [0, "riff"],
];

const isReadable = async (file) => {
  const bytes = new Uint8Array(await file.slice(0, 12).arrayBuffer());
  const begins = ([at, text]) => [...text].every((c, i) => bytes[at + i] === c.charCodeAt(0));
  const isMp3 = bytes[0] === 0xff && (bytes[1] & 0xe0) === 0xe0 && (bytes[1] & 0x06) !== 0;
  return isMp3 || READABLE.some(begins);
};

// The mean of the channels, or the louder one if they cancel each other, as data/audio.py does it.
const CANCELLED = 0.05;
const toMono = (channels) => {
  const mean = new Float32Array(channels[0].length);
  for (const channel of channels) for (let i = 0; i < mean.length; i++) mean[i] += channel[i] / channels.length;
  const energy = (samples) => {
    let sum = 0;
    for (const sample of samples) sum += sample * sample;
    return sum;
  };
  const energies = channels.map(energy);
  const unlike = energies.reduce((sum, value) => sum + value) / channels.length ** 2;
  return energy(mean) < CANCELLED * unlike ? channels[energies.indexOf(Math.max(...energies))] : mean;
};

const toWav = (decoded) => {
  const { length, numberOfChannels } = decoded;
  const bytes = new DataView(new ArrayBuffer(44 + 2 * length));
  const write = (at, text) => [...text].forEach((c, i) => bytes.setUint8(at + i, c.charCodeAt(0)));
  write(0, "RIFF");
  bytes.setUint32(4, 36 + 2 * length, true);
  write(8, "WAVEfmt ");
  bytes.setUint32(16, 16, true);
  bytes.setUint16(20, 1, true); // PCM
  bytes.setUint16(22, 1, true); // mono
  bytes.setUint32(24, RATE, true);
  bytes.setUint32(28, 2 * RATE, true);
  bytes.setUint16(32, 2, true);
  bytes.setUint16(34, 16, true);
  write(36, "data");
  bytes.setUint32(40, 2 * length, true);
  const mono = toMono(Array.from({ length: numberOfChannels }, (_, c) => decoded.getChannelData(c)));
  for (let i = 0; i < length; i++) {
    bytes.setInt16(44 + 2 * i, Math.round(Math.max(-1, Math.min(1, mono[i])) * 32767), true);
  }
  return bytes.buffer;
};

// The file to send: this file, or a WAV of it. A file that the browser cannot decode is sent
// unchanged, and the server reports the error.
const sendable = async (file) => {
  if (await isReadable(file)) return file;
  try {
    const decoded = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(await file.arrayBuffer());
    const name = file.name.replace(/\.[^.]*$/, "") + ".wav";
    return new File([toWav(decoded)], name, { type: "audio/wav" });
  } catch {
    return file;
  }
};

// Starts recording; resolves to a function that stops it and resolves to the file.
const startRecording = async () => {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const recorder = new MediaRecorder(stream);
  const parts = [];
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  recorder.start();
  return () =>
    new Promise((resolve) => {
      recorder.addEventListener("stop", () => {
        for (const track of stream.getTracks()) track.stop();
        resolve(new File(parts, "recording", { type: recorder.mimeType }));
      });
      recorder.stop();
    });
};
