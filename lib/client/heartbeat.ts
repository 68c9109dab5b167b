import { proofOfOrigin } from './own-origin.js'

/** The response of the server to a heartbeat. */
interface HeartbeatResponse {
  /** 0 if there was no response. */
  status: number
  /** Admits a socket of the page. */
  ticket?: string
  /** See `watchSession`. */
  mark?: string
}

const timeout = 10_000

/** @param tab The header that names the page's tab. */
export async function postHeartbeat(
  url: string,
  request: AbortController,
  tab: Readonly<Record<string, string>> = {},
): Promise<HeartbeatResponse> {
  const limit = setTimeout(() => request.abort(), timeout)
  try {
    // No `keepalive`: Chromium continues such a request for 30 s after its abort, on one of the six connections that all tabs share.
    const response = await fetch(url, {
      method: 'POST',
      headers: { ...proofOfOrigin(url), ...tab },
      credentials: 'include',
      redirect: 'error',
      signal: request.signal,
    })
    const { status } = response
    return status === 200 ? { ...(await response.json()), status } : { status }
  } catch {
    // Refused, offline, timed out, or the response of a captive portal: retried in each case.
    return { status: 0 }
  } finally {
    clearTimeout(limit)
  }
}
