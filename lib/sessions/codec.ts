import { Deserializer, Serializer } from 'node:v8'
import type { Codec } from '../types.js'
import { findUncloneable, PLAIN, prototypesOf } from './cloneable.js'

/** Node's own serialization, as base64. */
export const v8Codec: Codec<unknown> = {
  encode(value) {
    const uncloneable = findUncloneable(value, SERIALIZABLE)
    if (uncloneable !== undefined)
      throw new TypeError(`it contains ${uncloneable}, which can not be transferred completely`)
    const writer = new Writer()
    writer.writeHeader()
    writer.writeValue(value)
    return writer.releaseBuffer().toString('base64')
  },
  decode(text) {
    const reader = new Reader(Buffer.from(text, 'base64'))
    reader.readHeader()
    return reader.readValue()
  },
}

const SERIALIZABLE = prototypesOf([...PLAIN, Buffer])

/** Writes only the bytes of the view. V8 itself would write the whole underlying buffer: for a small Buffer, Node's pool. */
class Writer extends Serializer {
  /** Documented by Node.js, but missing in its types. */
  declare _setTreatArrayBufferViewsAsHostObjects: (flag: boolean) => void

  constructor() {
    super()
    this._setTreatArrayBufferViewsAsHostObjects(true)
  }

  _writeHostObject(view: ArrayBufferView): void {
    const kind = VIEWS.findIndex(({ prototype }) => prototype === Object.getPrototypeOf(view))
    if (kind < 0) throw new TypeError(`Expected a known kind of view, got ${view.constructor.name}`)
    this.writeUint32(kind)
    this.writeUint32(view.byteLength)
    this.writeRawBytes(view as NodeJS.TypedArray)
  }
}

/** Gives each view its own memory. With `v8.deserialize`, all of them would share one buffer, or Node's pool. */
class Reader extends Deserializer {
  _readHostObject(): unknown {
    const view = VIEWS[this.readUint32()]
    if (view === undefined) throw new TypeError('Expected a known kind of view, got another')
    return view.make(new Uint8Array(this.readRawBytes(this.readUint32())).buffer)
  }
}

/** A class of views of an ArrayBuffer. */
interface View {
  readonly prototype: unknown
  make(buffer: ArrayBuffer): ArrayBufferView
}

interface ViewConstructor {
  new (buffer: ArrayBuffer): ArrayBufferView
  readonly prototype: unknown
}

/** Exists since Node.js 24. */
const { Float16Array } = globalThis as { Float16Array?: ViewConstructor }

/** Their positions here are part of the serialized form: append new ones. */
const VIEWS: readonly View[] = [
  { prototype: Buffer.prototype, make: buffer => Buffer.from(buffer) },
  ...[
    DataView,
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    BigUint64Array,
    ...(Float16Array === undefined ? [] : [Float16Array]),
  ].map(
    (Kind: ViewConstructor): View => ({
      prototype: Kind.prototype,
      make: buffer => new Kind(buffer),
    }),
  ),
]
