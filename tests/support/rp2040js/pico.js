/* The Pico's flash image on rp2040js, an RP2040 emulator that others made, with UART0 as a TCP port.
 *
 *   NODE_PATH=FOLDER/node_modules node pico.js IMAGE.uf2
 *
 * Prints {"port": number}, then, whenever a host has gone, {"core_hz", "bytes_at_baud"}: the clock, and at which rates the image
 * has sent how many bytes, as the emulator works them out from the registers that the image has written.
 * What the emulator has to complain of (an address that is not there, a register it does not know) goes to standard error.
 */
"use strict";
const { readFileSync } = require("node:fs");
const net = require("node:net");
const { RP2040 } = require("rp2040js");

const UF2_BLOCK_BYTES = 512;
const FLASH = 0x10000000;
const BOOT2_BYTES = 256;
const BOOT2_RUNS_AT = 0x20041f00;
const STEPS_AT_A_TIME = 100_000;

const chip = new RP2040();
const uart = chip.uart[0];
const complain = (where, what) => process.stderr.write(`${where}: ${what}\n`);
chip.logger = { debug() {}, info() {}, warn: complain, error: complain };

/* The boot ROM's part (RP2040 datasheet, section 2.8.1): flash as the UF2 file says, its first 256 bytes into SRAM, and run. */
function boot(uf2) {
  for (let at = 0; at < uf2.length; at += UF2_BLOCK_BYTES) {
    const address = uf2.readUInt32LE(at + 12);
    const size = uf2.readUInt32LE(at + 16);
    chip.flash.set(uf2.subarray(at + 32, at + 32 + size), address - FLASH);
  }
  chip.sram.set(chip.flash.subarray(0, BOOT2_BYTES), BOOT2_RUNS_AT - 0x20000000);
  chip.core.PC = BOOT2_RUNS_AT;
}

/* The line: a byte arrives when its ten bits have passed, at the rate of the registers; what leaves is there at once. */
const coming = [];
const arrival = chip.clock.createAlarm(() => {
  uart.feedByte(coming.shift());
  if (coming.length > 0) schedule();
});
const schedule = () => arrival.schedule(1e10 / uart.baudRate);

let host = null;
let sent = [];
const sentAtBaud = {};
uart.onByte = (byte) => {
  sent.push(byte);
  sentAtBaud[uart.baudRate] = (sentAtBaud[uart.baudRate] ?? 0) + 1;
};

function hear(data) {
  const wasSilent = coming.length === 0;
  for (const byte of data) coming.push(byte);
  if (wasSilent) schedule();
  if (!running) setImmediate(run);
}

let running = false;

/* Runs until the core sleeps and nothing is coming: time then stands still until the host says something. */
function run() {
  const { core, clock } = chip;
  running = true;
  for (let i = 0; i < STEPS_AT_A_TIME && running; i++) {
    if (!core.waiting) {
      clock.tick((core.executeInstruction() * 1e9) / chip.clkSys);
    } else if (coming.length > 0) {
      clock.tick(clock.nanosToNextAlarm);
    } else {
      running = false;
    }
  }
  if (sent.length > 0 && host !== null) host.write(Buffer.from(sent));
  sent = [];
  if (running) setImmediate(run);
}

const tell = (facts) => process.stdout.write(`${JSON.stringify(facts)}\n`);

boot(readFileSync(process.argv[2]));
const server = net.createServer({ noDelay: true }, (socket) => {
  host = socket;
  socket.on("data", hear);
  socket.on("error", () => {});
  socket.on("close", () => {
    host = null;
    tell({ core_hz: chip.clkSys, bytes_at_baud: sentAtBaud });
  });
});
server.listen(0, "127.0.0.1", () => {
  tell({ port: server.address().port });
  run();
});
